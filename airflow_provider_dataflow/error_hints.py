"""From the words of a failure to what can be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Characters of a text that are looked at, at its end, and of a name in it.
MAX_TEXT = 64 * 1024
MAX_NAME = 120


@dataclass(frozen=True, slots=True)
class Cause:
    """A well-known cause of failures.

    :param pattern: what tells it; a group ``name`` goes into the advice.
    :param advice: one sentence.
    """

    pattern: re.Pattern[str]
    advice: str

    def hint(self, text: str) -> str | None:
        match = self.pattern.search(text)
        if match is None:
            return None
        groups = {key: (value or "?")[:MAX_NAME] for key, value in match.groupdict().items()}
        return self.advice.format(**groups)


def _cause(pattern: str, advice: str) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE | re.MULTILINE), advice)


#: In this order: what says more comes first.
CAUSES = (
    _cause(
        r"only one application with a private endpoint|private endpoint\b.*\b(?:conflict|is active|in use)",
        "Runs of only one application with a private endpoint can be in progress at a time: let the tasks of "
        "all such applications share an Airflow pool with one slot.",
    ),
    _cause(
        r"LimitExceeded|QuotaExceeded|(?:service|compartment) (?:limit|quota)s?\b.*\bexceeded"
        r"|exceed\w*\b.*\b(?:service limit|quota)",
        "A limit or quota of the tenancy is used up: ask for fewer or smaller executors, let other runs end "
        "first, or have the limit of this shape raised.",
    ),
    _cause(
        r"out of (?:host )?capacity|no resources became available|InsufficientCapacity",
        "There are no machines for this shape at the moment: try again later, with another shape, or in a "
        "pool that keeps its own.",
    ),
    _cause(
        r"BucketNotFound|bucket (?:named )?['\"]?[\w.-]+['\"]? (?:does not exist )?in the namespace",
        "The bucket does not exist in that namespace or may not be seen: check oci://bucket@namespace in the "
        "request and in the application's arguments, and the policy that lets the run read buckets.",
    ),
    _cause(
        r"ObjectNotFound|oci://[^\s'\"`]+ (?:was not found|does not exist)"
        r"|(?:PATH_NOT_FOUND|Path does not exist|FileNotFoundException|No such file or directory).*oci://",
        "An object or folder is missing: check the path, and whether the task that writes it comes first.",
    ),
    _cause(
        r"NotAuthorizedOrNotFound|Authorization failed or requested resource not found|NotAuthenticated"
        r"|\b(?:403|401)\b[^\n]*\b(?:Forbidden|NotAuthorized|Unauthorized)",
        "It does not exist, or a policy is missing: a run reads and writes as who has submitted it, or as "
        "its resource principal, which must be allowed to on these buckets; the service itself must be "
        "allowed to read objects of the bucket of the logs.",
    ),
    _cause(
        r"ExecutorLostFailure.*(?:\b137\b|memory|OOM)|\bexit(?:ed)?(?: with)?(?: code| status)?:? 52\b"
        r"|executor.*(?:\bexit(?:ed)?(?: with)?(?: code| status)?:? 137\b|OOMKilled|OutOfMemoryError"
        r"|exceeding memory limits)",
        "An executor ran out of memory: raise memory_in_gbs of executor_shape_config or "
        "spark.executor.memoryOverhead, or give it less at a time with more partitions.",
    ),
    _cause(
        r"spark\.driver\.maxResultSize",
        "The driver collects more than spark.driver.maxResultSize: write the result instead of collecting "
        "it, or raise that property and memory_in_gbs of driver_shape_config.",
    ),
    _cause(
        r"OutOfMemoryError|GC overhead limit exceeded|(?:^|: )\s*MemoryError\b|\bout of memory\b|OOMKilled"
        r"|\bexit(?:ed)?(?: with)?(?: code| status)?:? 137\b",
        "The driver ran out of memory: raise memory_in_gbs of driver_shape_config, or collect less to it.",
    ),
    _cause(
        r"UnsupportedClassVersionError|NoSuchMethodError|AbstractMethodError|IncompatibleClassChangeError"
        r"|NoClassDefFoundError: (?:scala|org/apache/spark)/",
        "A jar was built for another version of Spark, Scala or Java than the run's: check spark_version.",
    ),
    _cause(
        r"spark ?version [\w.]+ is not supported|unsupported spark version",
        "The service does not have this spark_version.",
    ),
    _cause(
        r"Python in worker has different version|PYTHON_VERSION_MISMATCH",
        "The archive has another Python than the driver: build it for the Python of the run's spark_version.",
    ),
    _cause(
        r"(?:Failed to load (?:main )?class|ClassNotFoundException:) (?P<name>[\w.$/]+\w)",
        "The class {name} is in no jar of the run: check its name (--class), and --jars or archive_uri.",
    ),
    _cause(
        r"(?:ModuleNotFoundError|ImportError): No module named '?(?P<name>[\w.]+)",
        "The Python module {name} is missing: bring it in the archive of archive_uri or with --py-files.",
    ),
    _cause(
        r"UnknownHostException: (?P<name>[\w.-]+)",
        "The run does not know the host {name}: one in a private network needs a private endpoint with its "
        "DNS zone, given to the application.",
    ),
    _cause(
        r"maximum duration|maxDurationInMinutes",
        "The run was longer than max_duration_in_minutes, which counts from its start.",
    ),
)


def hint_for(lifecycle_details: str | None, stderr: str | None = None) -> str | None:
    """What to do about a failure, if its cause is a well-known one; a sentence.

    :param lifecycle_details: what the service says; it comes first.
    :param stderr: the end of the driver's.
    """
    for text in (lifecycle_details, stderr):
        for cause in CAUSES:
            if text and (hint := cause.hint(text[-MAX_TEXT:])):
                return hint
    return None


#: What the network says, as the libraries and operating systems word it, and what to look at then.
UNRESOLVED = re.compile(
    r"name or service not known|temporary failure in name resolution|nodename nor servname|no address",
    re.IGNORECASE,
)
UNTRUSTED = re.compile(r"certificate|SSL", re.IGNORECASE)
NETWORK = (
    (UNRESOLVED, "The host's name cannot be resolved: is the region right, and is there a DNS server?"),
    (
        re.compile(r"network is unreachable|no route to host|host is unreachable", re.IGNORECASE),
        "There is no route: is there a way out of this network, such as a gateway or a proxy?",
    ),
    (
        re.compile(r"connection refused|connect call failed", re.IGNORECASE),
        "Nothing listens there: is service_endpoint right, and is the service started?",
    ),
    (
        UNTRUSTED,
        "The certificate is not one that this machine trusts: does a proxy open the connection?",
    ),
    (
        re.compile(r"timed? ?out", re.IGNORECASE),
        "A firewall may drop the packets: is there a way out of this network, or a proxy to set?",
    ),
)

#: What an answer's status calls for, if its message names no well-known cause.
STATUSES = {
    400: "Correct what the message names, and clear the task.",
    401: "Check user, fingerprint, tenancy and region of the connection, and this machine's clock.",
    409: "Its state does not allow that now: look at it in the console, and clear the task later.",
    412: "Somebody else has changed it at the same time: clear the task.",
    413: "The request is too large: give fewer or shorter arguments, parameters and configuration.",
    422: "Correct what the message names, and clear the task.",
    429: "The service asks for fewer requests: clear the task later, or let fewer tasks run at a time.",
}
NOT_SEEN = (
    "Check the OCIDs and the region, and whether a policy allows the user of the connection to do this in "
    "the compartment."
)
REDIRECTED = "Redirects are not followed with a signature: is service_endpoint right?"
IN_TROUBLE = "The service itself is busy or in trouble: clear the task when it has recovered."


def hint_for_network(message: str) -> str | None:
    """What to look at when there was no answer; a sentence.

    :param message: what the network said.
    """
    return next((advice for pattern, advice in NETWORK if pattern.search(message)), None)


def hint_for_answer(operation: str, status: int | None, code: str | None, message: str) -> str | None:
    """What to do about an error of the service; a sentence.

    :param operation: the API operation. What is said about a sign-in has its own advice.
    :param status: HTTP status, or ``None`` if there was no answer.
    """
    if operation == "SignIn":
        return None
    if status is None:
        return hint_for_network(str(message))
    if status in (403, 404):
        return NOT_SEEN
    if status != 401 and (hint := hint_for(f"{code or ''} {message}")):
        return hint
    if 300 <= status < 400:
        return REDIRECTED
    return IN_TROUBLE if status >= 500 else STATUSES.get(status)
