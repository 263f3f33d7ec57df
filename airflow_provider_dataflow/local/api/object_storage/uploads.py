"""Bodies of uploads: where they are written, and the check of their checksums."""

from __future__ import annotations

import base64
import binascii

from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.messages import ApiError, Request
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage

# Header with a checksum: algorithm, and the error code for a wrong one.
_CHECKSUMS = {
    "content-md5": ("md5", "UnmatchedContentMD5"),
    "opc-content-sha256": ("sha256", "UnmatchedContentSHA256"),
    "opc-content-sha384": ("sha384", "UnmatchedContentSHA384"),
    # Of clients that sign the body of an upload although they need not.
    "x-content-sha256": ("sha256", "NotAuthenticated"),
}
_RETURNED_CHECKSUMS = ("opc-content-sha256", "opc-content-sha384")


def new_upload(storage: ObjectStorage, request: Request) -> IncomingBody:
    """Return where to write the body of an upload.

    :raises ApiError: 411, its length is not declared; 400, a checksum is malformed
    """
    if "content-length" not in request.headers:
        raise ApiError(411, "ContentLengthRequired", "The Content-Length header is required.")
    given = _CHECKSUMS.keys() & request.headers.keys()
    for name in given:
        _decoded(name, request.headers[name])
    return IncomingBody(storage.incoming, {"md5", *(_CHECKSUMS[name][0] for name in given)})


def received_upload(request: Request) -> tuple[IncomingBody, str]:
    """Return the body of an upload and its base64 MD5.

    :raises ApiError: 400, a checksum is wrong; 500, the body cannot be written
    """
    upload = request.upload
    assert upload is not None  # noqa: S101 - open_upload was called
    if upload.error is not None:
        reason = upload.error.strerror or str(upload.error)
        raise ApiError(500, "InternalServerError", f"The upload cannot be stored: {reason}.")
    for name, (algorithm, code) in _CHECKSUMS.items():
        if name not in request.headers:
            continue
        computed = upload.digest(algorithm)
        if _decoded(name, request.headers[name]) != computed:
            message = (
                f"The computed {algorithm.upper()} of the request body ({_encoded(computed)}) does not match "
                f"the {name} header ({request.headers[name]})"
            )
            raise ApiError(401 if code == "NotAuthenticated" else 400, code, message)
    return upload, _encoded(upload.digest("md5"))


def checksum_headers_of(request: Request) -> dict[str, str]:
    """Return the checksums of a request that its response repeats."""
    return {name: request.headers[name] for name in _RETURNED_CHECKSUMS if name in request.headers}


def _encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _decoded(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        code = "InvalidContentMD5" if name == "content-md5" else "MissingOrInvalidChecksum"
        raise ApiError(400, code, f"The {name} header is not base64.") from None
