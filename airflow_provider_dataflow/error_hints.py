"""Well-known causes of failures and advice for them, found by the text of the error or its HTTP status."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_dataflow.causes import REPORTED_EARLY, RETRIES, Retry
from airflow_provider_dataflow.help_links import see

#: Only the end of a longer text is searched.
MAX_TEXT_CHARACTERS = 64 * 1024
#: Only the end of a longer line is searched, since the search time grows with the square of its length.
MAX_LINE_CHARACTERS = 2000
#: A longer name, for example of a class, is cut before it is quoted.
MAX_NAME_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Cause:
    """Well-known cause of failures.

    :param key: key of ``causes.RETRIES``.
    :param pattern: matches the text of the error. Its group ``name`` fills ``{name}`` in the advice.
    :param advice: one sentence.
    :param heading: section of the page on troubleshooting.
    """

    key: str
    pattern: re.Pattern[str]
    advice: str
    heading: str

    def hint(self, text: str) -> str | None:
        """Return the advice with a link if the text matches."""
        match = self.pattern.search(text)
        if match is None:
            return None
        groups = {key: (value or "?")[:MAX_NAME_CHARACTERS] for key, value in match.groupdict().items()}
        return f"{self.advice.format(**groups)} {see(self.heading)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Cause that was found in the texts of a failure.

    :param hint: advice with a link.
    :param cause: key of the cause; None if the text shows it, but the failure may have another one.
    """

    hint: str
    cause: str | None


def _cause(key: str, heading: str, pattern: str, advice: str) -> Cause:
    return Cause(key, re.compile(pattern, re.IGNORECASE | re.MULTILINE), advice, heading)


#: The first match wins, so specific causes come first.
CAUSES = (
    _cause(
        "private_endpoint_in_use",
        "Private endpoint in use",
        r"only one application with a private endpoint|private endpoint\b.*\b(?:conflict|is active|in use)",
        "Only one application with a private endpoint can have active runs: let the tasks of all such "
        "applications share an Airflow pool with one slot.",
    ),
    _cause(
        "limit_exceeded",
        "Limit or quota exceeded",
        r"LimitExceeded|QuotaExceeded|(?:service|compartment) (?:limit|quota)s?\b.*\bexceeded"
        r"|exceed\w*\b.*\b(?:service limit|quota)",
        "A limit or quota of the tenancy is used up: request fewer or smaller executors, wait until other "
        "runs have ended, or have the limit of this shape raised.",
    ),
    _cause(
        "no_capacity",
        "No capacity",
        r"out of (?:host )?capacity|no resources became available|InsufficientCapacity",
        "There are no machines for this shape at the moment: try again later, use another shape, or use a "
        "Data Flow pool, which reserves machines.",
    ),
    _cause(
        "bucket_missing",
        "Bucket not found",
        r"BucketNotFound|bucket (?:named )?['\"]?[\w.-]+['\"]? (?:does not exist )?in the namespace",
        "The bucket does not exist in that namespace, or the run is not allowed to read it: check "
        "oci://bucket@namespace in the request and in its arguments, and the policies for the run.",
    ),
    _cause(
        "object_missing",
        "Object not found",
        r"ObjectNotFound|oci://[^\s'\"`]+ (?:was not found|does not exist)"
        r"|(?:PATH_NOT_FOUND|Path does not exist|FileNotFoundException|No such file or directory).*oci://",
        "An object or folder is missing: check the path, and that the task that writes it runs before.",
    ),
    _cause(
        "not_authorized",
        "Not authorized or not found",
        r"NotAuthorizedOrNotFound|Authorization failed or requested resource not found|NotAuthenticated"
        r"|\b(?:403|401)\b[^\n]*\b(?:Forbidden|NotAuthorized|Unauthorized)",
        "The resource does not exist, or a policy is missing: the submitting user, or the run's resource "
        "principal, needs access to the buckets, and the service needs to read the logs bucket.",
    ),
    _cause(
        "executor_memory",
        "Executor out of memory",
        r"ExecutorLostFailure.*(?:\b137\b|memory|OOM)|\bexit(?:ed)?(?: with)?(?: code| status)?:? 52\b"
        r"|executor.*(?:\bexit(?:ed)?(?: with)?(?: code| status)?:? 137\b|OOMKilled|OutOfMemoryError"
        r"|exceeding memory limits)",
        "An executor ran out of memory: raise memory_in_gbs of executor_shape_config or "
        "spark.executor.memoryOverhead, or use more partitions, so that each is smaller.",
    ),
    _cause(
        "result_too_large",
        "Result too large for the driver",
        r"spark\.driver\.maxResultSize",
        "The driver collected more than spark.driver.maxResultSize: write the result instead of collecting "
        "it, or raise that property and memory_in_gbs of driver_shape_config.",
    ),
    _cause(
        "driver_memory",
        "Driver out of memory",
        r"OutOfMemoryError|GC overhead limit exceeded|(?:^|: )[^\S\n]*MemoryError\b|\bout of memory\b"
        r"|OOMKilled|\bexit(?:ed)?(?: with)?(?: code| status)?:? 137\b",
        "The driver ran out of memory: raise memory_in_gbs of driver_shape_config, or collect less data.",
    ),
    _cause(
        "incompatible_jar",
        "Jar built for another version",
        r"UnsupportedClassVersionError|NoSuchMethodError|AbstractMethodError|IncompatibleClassChangeError"
        r"|NoClassDefFoundError: (?:scala|org/apache/spark)/",
        "A jar was built for another version of Spark, Scala or Java than the run uses: check spark_version.",
    ),
    _cause(
        "spark_version_unsupported",
        "Unsupported Spark version",
        r"spark ?version [\w.]+ is not supported|unsupported spark version",
        "The service does not support this spark_version.",
    ),
    _cause(
        "python_mismatch",
        "Archive built for another Python",
        r"Python in worker has different version|PYTHON_VERSION_MISMATCH",
        "The archive has another Python version than the driver: build it for the run's spark_version.",
    ),
    _cause(
        "class_missing",
        "Class not found",
        r"(?:Failed to load (?:main )?class|ClassNotFoundException:) (?P<name>[\w.$/]+\w)",
        "The class {name} is in no jar of the run: check its name (--class), --jars and archive_uri.",
    ),
    _cause(
        "module_missing",
        "Python module not found",
        r"(?:ModuleNotFoundError|ImportError): No module named '?(?P<name>[\w.]+)",
        "The Python module {name} is missing: add it to requirements, to py_files or to an archive_uri.",
    ),
    _cause(
        "host_unknown",
        "Unknown host in the run",
        r"UnknownHostException: (?P<name>[\w.-]+)",
        "The run cannot resolve the host {name}: to reach a private network, give the application a private "
        "endpoint with the DNS zone of the host.",
    ),
    _cause(
        "max_duration",
        "Maximum duration exceeded",
        r"maximum duration|maxDurationInMinutes",
        "The run exceeded max_duration_in_minutes, which counts from its start.",
    ),
    _cause(
        "maintenance",
        "Stopped for maintenance",
        r"\b(?:stop|cancel|terminat|restart|evict|shut)\w*\b[^\n]{0,80}\bmaintenance\b",
        "The service stopped the run for maintenance; the next run starts on other machines.",
    ),
    _cause(
        "node_lost",
        "Node lost",
        r"\b(?:worker|slave|node|host|machine)[^\S\n]+(?:\S+[^\S\n]+)?(?:was[^\S\n]+|is[^\S\n]+)?lost\b"
        r"|\bnode(?:NotReady|Lost|Shutdown)\b|\bnode[^\S\n]+(?:\S+[^\S\n]+)?is not ready"
        r"|executor with id \d+ (?:[^\n]{0,200} )?was (?:not found in the cluster|deleted by a user or)"
        r"|\b(?:node|host|machine)[^\S\n]+(?:\S+[^\S\n]+)?(?:was|is)[^\S\n]+(?:decommissioned|preempted)",
        "A machine of the run was lost; the next run gets other machines.",
    ),
)

#: Start of the exception that ends a driver. Exceptions that it names as its own cause belong to it.
_LAST_EXCEPTION = re.compile(
    r"(?<!exception:\n\n)(?<!occurred:\n\n)"
    r"^(?:Traceback \(most recent call last\)|Exception in thread \"main\")",
    re.MULTILINE,
)


def find_cause(lifecycle_details: str | None, stderr: str | None = None) -> Finding | None:
    """Return the cause of a failed run; None if it is not a well-known one.

    An exception that the driver has logged and survived is worth a hint, but must not end the retries. So a
    cause that rules out a retry has to be in the details or in the last exception, if there is one. A lack of
    memory counts anywhere (``REPORTED_EARLY``), since its consequences are what the driver logs last.

    :param lifecycle_details: details of the state, from the service. They take precedence.
    :param stderr: end of the driver's stderr.
    """
    for text, is_decisive in _texts(lifecycle_details, stderr):
        for cause in CAUSES:
            if hint := cause.hint(text):
                counts = is_decisive or RETRIES[cause.key] is not Retry.NEVER or cause.key in REPORTED_EARLY
                return Finding(hint, cause.key if counts else None)
    return None


def hint_for(lifecycle_details: str | None, stderr: str | None = None) -> str | None:
    """Return the advice of :func:`find_cause`."""
    found = find_cause(lifecycle_details, stderr)
    return found.hint if found else None


def _texts(lifecycle_details: str | None, stderr: str | None) -> Iterator[tuple[str, bool]]:
    """Yield the texts to search, and whether a match must be the cause of the failure."""
    if lifecycle_details:
        yield _shortened(lifecycle_details), True
    if stderr:
        searched = _shortened(stderr)
        starts = [match.start() for match in _LAST_EXCEPTION.finditer(searched)]
        if starts:
            yield searched[starts[-1] :], True
        yield searched, not starts


def _shortened(text: str) -> str:
    """Return the end of a text and, of each of its lines, the end."""
    lines = text[-MAX_TEXT_CHARACTERS:].split("\n")
    return "\n".join(line[-MAX_LINE_CHARACTERS:] for line in lines)


#: Errors of the network, as libraries and operating systems word them.
UNRESOLVED = re.compile(
    r"name or service not known|temporary failure in name resolution|nodename nor servname|no address",
    re.IGNORECASE,
)
UNTRUSTED = re.compile(r"certificate|SSL", re.IGNORECASE)
#: Well-known network errors; the first match wins.
NETWORK_CAUSES = (
    Cause(
        "host_not_resolved",
        UNRESOLVED,
        "The host's name cannot be resolved: check the region, and the DNS of this machine.",
        "Host name not resolved",
    ),
    Cause(
        "no_route",
        re.compile(r"network is unreachable|no route to host|host is unreachable", re.IGNORECASE),
        "There is no route to the host: check that this network has a gateway or a proxy.",
        "No route to the host",
    ),
    Cause(
        "connection_refused",
        re.compile(r"connection refused|connect call failed", re.IGNORECASE),
        "Nothing listens there: check service_endpoint, and that the service is started.",
        "Connection refused",
    ),
    Cause(
        "certificate_untrusted",
        UNTRUSTED,
        "This machine does not trust the certificate: check whether a proxy intercepts the connection.",
        "Certificate not trusted",
    ),
    Cause(
        "connection_timed_out",
        re.compile(r"timed? ?out", re.IGNORECASE),
        "A firewall may drop the packets: check that this network has a gateway, or set a proxy.",
        "Connection timed out",
    ),
)

#: Key of the cause by HTTP status, if the message names no well-known cause.
STATUS_CAUSES = {
    400: "bad_request",
    401: "not_authenticated",
    403: "not_authorized",
    404: "not_authorized",
    409: "conflict",
    412: "changed_meanwhile",
    413: "request_too_large",
    422: "bad_request",
    429: "throttled",
}
#: Advice by HTTP status, if the message names no well-known cause.
STATUS_ADVICE = {
    400: "Correct what the message names, and clear the task.",
    401: "Check user, fingerprint, tenancy and region of the connection, and this machine's clock.",
    409: "The state of the resource does not allow this: check it in the console, and clear the task later.",
    412: "The resource was changed by somebody else at the same time: clear the task.",
    413: "The request is too large: give fewer or shorter arguments, parameters and configuration.",
    422: "Correct what the message names, and clear the task.",
    429: "The service throttles requests: clear the task later, or let fewer tasks run at a time.",
}
NOT_FOUND_ADVICE = (
    "Check the OCIDs and the region, and whether a policy allows the user of the connection to do this in "
    "the compartment."
)
REDIRECT_ADVICE = "Redirects of signed requests are not followed: check service_endpoint."
SERVICE_FAILURE_ADVICE = "The service is overloaded or has failed: clear the task when it has recovered."
#: Sections for several statuses. Each of the others has a section of its own, such as ``HTTP 401``.
REDIRECT_HEADING, SERVICE_FAILURE_HEADING = "HTTP 3xx", "HTTP 5xx"


def hint_for_network(message: str) -> str | None:
    """Return advice for a network error, with a link.

    :param message: message of the network error.
    """
    return next((hint for cause in NETWORK_CAUSES if (hint := cause.hint(message))), None)


def cause_of_response(operation: str, status: int | None, code: str | None, message: str) -> str | None:
    """Return the key of the cause of an error of the service; None if it is not a well-known one.

    :param operation: operation of the API, or ``SignIn``.
    :param status: HTTP status; None if there was no response.
    """
    if status is None:
        found = (cause.key for cause in NETWORK_CAUSES if cause.pattern.search(message))
        return next(found, "no_response")
    if operation != "SignIn" and (finding := _finding_in_response(status, code, message)):
        return finding.cause
    if 300 <= status < 400:
        return "redirected"
    return "service_failure" if status >= 500 else STATUS_CAUSES.get(status)


def hint_for_response(operation: str, status: int | None, code: str | None, message: str) -> str | None:
    """Return advice for an error of the service, with a link.

    :param operation: operation of the API. Errors of ``SignIn`` get no advice: their messages contain it.
    :param status: HTTP status; None if there was no response.
    """
    if operation == "SignIn":
        return None
    if status is None:
        return hint_for_network(str(message))
    if status in (403, 404):
        return f"{NOT_FOUND_ADVICE} {see(f'HTTP {status}')}"
    if finding := _finding_in_response(status, code, message):
        return finding.hint
    if 300 <= status < 400:
        return f"{REDIRECT_ADVICE} {see(REDIRECT_HEADING)}"
    if status >= 500:
        return f"{SERVICE_FAILURE_ADVICE} {see(SERVICE_FAILURE_HEADING)}"
    advice = STATUS_ADVICE.get(status)
    return f"{advice} {see(f'HTTP {status}')}" if advice else None


def _finding_in_response(status: int, code: str | None, message: str) -> Finding | None:
    """Return the cause that an error message names. The status itself says more in 401, 403 and 404."""
    return None if status in (401, 403, 404) else find_cause(f"{code or ''} {message}")
