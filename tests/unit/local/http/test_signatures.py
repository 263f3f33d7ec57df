from __future__ import annotations

import json
import time
from email.utils import formatdate
from unittest.mock import Mock

import oci
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import RSAAlgorithm

from airflow_provider_dataflow.local.http.keys import KeyRing, fingerprint, new_identity
from airflow_provider_dataflow.local.http.messages import ApiError, Principal, Request
from airflow_provider_dataflow.local.http.signatures import SignatureVerifier, TrustAllVerifier
from airflow_provider_dataflow.local.http.tokens import (
    SessionToken,
    claims_of,
    expiry_of,
    load_public_key,
    new_token,
    principal_of,
)

# Request in the variant of the TypeScript SDK, signed with openssl.
PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAkNOKYGnsKwaniQTDhumy
q4SBai2N+je8R5Yp/jx8p6hpiRSfI59+9w0XdBNGgqadD+Z3jMO9LZZHW1Q3+rio
he36mBeS++QIKDBK5FyVsqlU1n/Wb8nwkH8T6RJScV6y97bBZnax61D2qjLuxENe
8tQgvxHmurp7gKOjeFFboyI7+jyc2uDlTCCdvy9RljBddlMVm08rK2v0cBmDq/Yf
XkOxn/uCV5//I8ittD8N9Sy+ZlAie8woI63itTfxWp3tAUsJsmgYIOBoGsH6oRxd
9OkeZ92q7KvC08aPavYyjuSZk00mFbSpSomGRbnGMqhP0gCnPv21Xr8dEF1feoN1
ZQIDAQAB
-----END PUBLIC KEY-----"""
FINGERPRINT = "49:89:d0:36:b4:10:4b:25:f9:5b:65:a8:ce:87:28:76"
BODY = '{"compartmentId":"ocid1.compartment.oc1..aaaa","displayName":"café"}'.encode()
NEW_YEAR = 1_767_225_600.0
SIGNATURE = (
    "izoWrb0vj7LxmFgMWKCCcbkEMGJOm+z+kclxBH6aICjF2JhSSndtIHJu2z214z5QjyRHtCX8dwm1LHXI77mA8aKu0Ai7e0dSRncyuZwe"
    "xxuRK0a6rwIRQr39fojA9j6GdVUUh7pVddQA9KhSu4ImQWpdfCr3ihomN4ojjodlC3iwVusmqt5Iv8eXobFpwJDM2dA6FqVA0kxlXNbr"
    "5FL/Dn7OWn85lY9fUKQg/Y1svHT8jFZqiFfiCpSwnjM1GiOOab3AmD4nuebv7UfYu3DXs9tm5aBt0nJZQK4IXuBCzEexuBlYZV7dpTr1"
    "YN50XHPXDDbz7M0MgzjWfzgizHQCYg=="
)


def typescript_request(**changes: str) -> Request:
    headers = {
        "x-date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "host": "127.0.0.1:8170",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "x-content-sha256": "nDNU1LtI39LYdSVb3bf+XZoWbeCaRNioeYNBPHhu63E=",
        "authorization": (
            f'Signature version="1",keyId="ten/usr/{FINGERPRINT}",algorithm="rsa-sha256",'
            'headers="x-date (request-target) host Content-Type Content-Length x-content-sha256",'
            f'signature="{SIGNATURE}"'
        ),
    }
    return Request("POST", "/20200129/runs", headers | changes, BODY)


@pytest.fixture
def typescript_verifier() -> SignatureVerifier:
    keys = KeyRing()
    keys.register(Principal("ten", "usr"), load_pem_public_key(PUBLIC_KEY))
    return SignatureVerifier(keys, now=lambda: NEW_YEAR + 299)


def test_signature_of_the_typescript_sdk_is_accepted(typescript_verifier):
    assert fingerprint(load_pem_public_key(PUBLIC_KEY)) == FINGERPRINT
    assert typescript_verifier.verify(typescript_request()) == Principal("ten", "usr")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-date", "Thu, 01 Jan 2026 00:00:01 GMT"),
        ("host", "localhost:8170"),
        ("content-length", "1"),
        ("x-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ],
)
def test_altered_header_is_rejected(typescript_verifier, name, value):
    with pytest.raises(ApiError, match="Failed to verify") as e:
        typescript_verifier.verify(typescript_request(**{name: value}))
    assert (e.value.status, e.value.code) == (401, "NotAuthenticated")


def test_altered_target_is_rejected(typescript_verifier):
    request = typescript_request()
    request.target = "/20200129/applications"
    with pytest.raises(ApiError, match="Failed to verify"):
        typescript_verifier.verify(request)


def test_altered_body_is_rejected(typescript_verifier):
    request = typescript_request()
    request.body = BODY.replace(b"caf", b"kaf")
    with pytest.raises(ApiError, match="does not match the body"):
        typescript_verifier.verify(request)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (FINGERPRINT, FINGERPRINT.replace("4", "5"), "not registered"),
        ("ten/usr", "ten/other", "not registered"),
        ("rsa-sha256", "hmac-sha256", "algorithm"),
        ('version="1"', 'version="2"', "version"),
        ("x-date (request", "(request", "Not signed: date"),
        (" host ", " ", "Not signed: host"),
        (" x-content-sha256", "", "Not signed: x-content-sha256"),
        ("(request-target) ", "", r"Not signed: \(request-target\)"),
        (" host ", " host x-absent ", "x-absent is missing"),
        (SIGNATURE, "AAAA", "Failed to verify"),
        (SIGNATURE, "not base64!", "Failed to verify"),
        ('signature="', "signature=", "malformed"),
        ("Signature ", "Bearer ", "was not provided"),
    ],
)
def test_altered_authorization_is_rejected(typescript_verifier, old, new, message):
    request = typescript_request()
    altered = request.headers["authorization"].replace(old, new)
    with pytest.raises(ApiError, match=message) as e:
        typescript_verifier.verify(typescript_request(authorization=altered))
    assert e.value.status == 401


@pytest.mark.parametrize("seconds", [-301, 301])
def test_stale_date_is_rejected(seconds):
    keys = KeyRing()
    keys.register(Principal("ten", "usr"), load_pem_public_key(PUBLIC_KEY))
    with pytest.raises(ApiError, match="five minutes"):
        SignatureVerifier(keys, now=lambda: NEW_YEAR + seconds).verify(typescript_request())


def test_malformed_date_is_rejected(typescript_verifier):
    with pytest.raises(ApiError, match="date of the request is malformed"):
        typescript_verifier.verify(typescript_request(**{"x-date": "yesterday"}))


def test_missing_authorization_is_rejected(typescript_verifier):
    with pytest.raises(ApiError, match="was not provided"):
        typescript_verifier.verify(Request("GET", "/20200129/runs", {}))


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/20200129/runs?compartmentId=ocid1.c&displayName=a%20b%2Bc", None),
        ("POST", "/20200129/runs", json.dumps({"displayName": "ä"})),
        ("POST", "/20200129/pools/x/actions/start", None),
        ("PUT", "/20200129/runs/x", "{}"),
        ("DELETE", "/20200129/runs/x", None),
    ],
)
def test_signature_of_the_python_sdk_is_accepted(method, target, body):
    """Sign with the SDK's own signer."""
    identity = new_identity()
    keys = KeyRing()
    keys.register_identity(identity)
    signer = oci.signer.Signer(
        identity.tenancy, identity.user, identity.fingerprint, None, private_key_content=identity.private_key
    )
    prepared = Mock()
    prepared.method, prepared.url, prepared.path_url = method, f"http://127.0.0.1:1{target}", target
    prepared.body, prepared.headers = body, {"date": formatdate(usegmt=True)}
    signer(prepared)
    headers = {k.lower(): v for k, v in prepared.headers.items()}
    request = Request(method, target, headers, (body or "").encode())
    assert SignatureVerifier(keys).verify(request) == Principal(identity.tenancy, identity.user)


PRINCIPAL = Principal("ocid1.tenancy.oc1..t", "ocid1.user.oc1..u")


def token_request(token: SessionToken) -> Request:
    """Sign a request with the SDK's signer for sessions."""
    key = oci.signer.load_private_key(token.private_key, None)
    signer = oci.auth.signers.SecurityTokenSigner(token.token, key)
    prepared = Mock()
    prepared.method, prepared.url, prepared.path_url = (
        "GET",
        "http://127.0.0.1:1/20200129/runs",
        "/20200129/runs",
    )
    prepared.body, prepared.headers = None, {"date": formatdate(usegmt=True)}
    signer(prepared)
    return Request("GET", "/20200129/runs", {k.lower(): v for k, v in prepared.headers.items()})


def test_security_token_is_accepted_until_it_expires_or_is_revoked():
    token = new_token(PRINCIPAL, time.time(), time.time() + 60)
    keys = KeyRing()
    with pytest.raises(ApiError, match="not registered"):
        SignatureVerifier(keys).verify(token_request(token))
    keys.register_token(token.token, PRINCIPAL, load_public_key(token.public_key), token.expires)
    assert SignatureVerifier(keys).verify(token_request(token)) == PRINCIPAL
    with pytest.raises(ApiError, match="token has expired") as e:
        SignatureVerifier(keys, now=lambda: token.expires).verify(token_request(token))
    assert (e.value.status, e.value.code) == (401, "NotAuthenticated")
    keys.clear_tokens()
    with pytest.raises(ApiError, match="not registered"):
        SignatureVerifier(keys).verify(token_request(token))


def test_security_token_with_another_key_is_rejected():
    token, other = (new_token(PRINCIPAL, time.time(), time.time() + 60) for _ in range(2))
    keys = KeyRing()
    keys.register_token(token.token, PRINCIPAL, load_public_key(other.public_key), None)
    with pytest.raises(ApiError, match="Failed to verify"):
        SignatureVerifier(keys).verify(token_request(token))


def test_claims_of_a_security_token():
    token = new_token(PRINCIPAL, 1000.0, 4600.9)
    assert token.private_key not in repr(token)
    assert token.token not in repr(token)
    claims = claims_of(token.token)
    assert principal_of(claims, Principal("x", "y")) == PRINCIPAL
    assert expiry_of(claims) == token.expires == 4600
    session_key = load_public_key(token.public_key).public_numbers()
    jwk = RSAAlgorithm.from_jwk(claims["jwk"])
    assert jwk.public_numbers() == session_key


@pytest.mark.parametrize(
    ("exp", "expires"),
    [(5, 5), (5.5, 5.5), ("5", 5), (True, None), (None, None), ([], None), ("soon", None), ("nan", None)],
)
def test_the_expiry_of_a_token(exp, expires):
    assert expiry_of({"exp": exp}) == expires


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "é.é.é", "e30.e30.", "e30.W10.x", "\0" * 9])
def test_token_without_claims_has_defaults(token):
    claims = claims_of(token)
    assert principal_of(claims, PRINCIPAL) == PRINCIPAL
    assert expiry_of(claims) is None


@pytest.mark.parametrize("signature", ["é", "ÿ=", "A" * 5000, "=", " ", "////"])
def test_invalid_signature_is_rejected(typescript_verifier, signature):
    header = typescript_request().headers["authorization"].replace(SIGNATURE, signature)
    with pytest.raises(ApiError, match="Failed to verify"):
        typescript_verifier.verify(typescript_request(authorization=header))


def test_trust_all_verifier_accepts_every_request():
    assert TrustAllVerifier().verify(Request("GET", "/")) == Principal("anonymous", "anonymous")
    assert TrustAllVerifier().verify(typescript_request()) == Principal("ten", "usr")
    token = new_token(PRINCIPAL, 0.0, 1.0)
    assert TrustAllVerifier().verify(token_request(token)) == PRINCIPAL
