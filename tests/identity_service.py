"""Fake of OCI's token services and of a Data Flow that accepts their tokens, on loopback.

Stands for the instance metadata service, the identity service that exchanges certificates, the proxy of an
OKE cluster, and the two services of a nested resource principal. Latency and faults can be set. Each token
contains the key that it was issued for, so that a signature can be verified with the token alone.

As a program, it serves until its input ends, so that it takes no CPU from the process under test::

    python -m tests.identity_service '{"latency": 0.1, "lifetime": 4}'
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

TENANCY = "ocid1.tenancy.oc1..instance"
REGION = "eu-frankfurt-1"


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem_of(key: rsa.RSAPrivateKey, pass_phrase: str | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(pass_phrase.encode())
        if pass_phrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


def certificate(key: rsa.RSAPrivateKey, *names: str, host: str | None = None) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if host:
        import ipaddress

        address = x509.IPAddress(ipaddress.ip_address(host))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def jwk_of(public_key: rsa.RSAPublicKey) -> str:
    """Return a public key as a JSON Web Key; OCI's tokens contain it as a string."""
    numbers = public_key.public_numbers()
    parts = {"n": numbers.n, "e": numbers.e}
    encoded = {
        name: base64.urlsafe_b64encode(part.to_bytes((part.bit_length() + 7) // 8)).rstrip(b"=").decode()
        for name, part in parts.items()
    }
    return json.dumps({"kty": "RSA", "alg": "RS256", "use": "sig", **encoded})


def key_of(jwk: str) -> rsa.RSAPublicKey:
    n, e = (
        int.from_bytes(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in (json.loads(jwk)[name] for name in ("n", "e"))
    )
    return rsa.RSAPublicNumbers(e, n).public_key()


def token_for(public_key: rsa.RSAPublicKey, lifetime: float, **claims: Any) -> str:
    """Return a token with the key that it was issued for. Its own signature is empty."""
    now = time.time()
    # Whole seconds, as in real tokens; the SDK reads no fractions.
    claims = {"jwk": jwk_of(public_key), "iat": int(now), "exp": int(now + lifetime), **claims}
    claims["jti"] = time.time_ns()
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    return ".".join(
        [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts] + ["c2ln"]
    )


def check_signature(method: str, target: str, headers: dict[str, str]) -> str | None:
    """Return the problem of the signature of a request with a token, or ``None``.

    :param headers: headers by their names in lower case.
    """
    signature = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("authorization", "")))
    key_id = signature.get("keyId", "")
    if not key_id.startswith("ST$"):
        return f"no token but {key_id!r}"
    payload = key_id.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if claims["exp"] < time.time():
        return "the token has expired"
    key = key_of(claims["jwk"])
    values = headers | {"(request-target)": f"{method.lower()} {target}"}
    text = "\n".join(f"{name}: {values.get(name)}" for name in signature["headers"].split())
    try:
        key.verify(base64.b64decode(signature["signature"]), text.encode(), padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        return "the signature does not match the token"
    return None


class IdentityService:
    """:param latency: seconds until the identity services respond.
    :param lifetime: seconds that a token is valid.
    :param state: state of all runs.
    :ivar faults: statuses of the next responses, by path; 0 closes the connection.
    :ivar calls: number of requests by path.
    """

    def __init__(self, latency: float = 0, lifetime: float = 1200, state: str = "IN_PROGRESS") -> None:
        self.latency, self.lifetime, self.state = latency, lifetime, state
        self.faults: dict[str, list[int]] = {}
        self.calls: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.obo_tokens: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.instance_key = new_key()
        self.certificate = certificate(self.instance_key, f"opc-tenant:{TENANCY}")
        self.tls_key = new_key()
        self.tls_certificate = certificate(self.tls_key, "127.0.0.1", host="127.0.0.1")
        self._servers = [self._serve()]
        self.url = f"http://127.0.0.1:{self._servers[0].server_port}"

    def serve_tls(self, folder: Path) -> int:
        """Serve HTTPS, too, as the proxy of a cluster. Write ``ca.crt`` into the folder; return the port."""
        (folder / "ca.crt").write_text(self.tls_certificate)
        chain = folder / "server.pem"
        chain.write_text(pem_of(self.tls_key) + self.tls_certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._servers.append(self._serve(context))
        return self._servers[-1].server_port

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        public = path.split("?")[0]
        if public.startswith("/20200129/"):
            return self._data_flow(method, path, headers)
        time.sleep(self.latency)
        self.calls[public] += 1
        match public:
            case "/opc/v2/identity/cert.pem" | "/opc/v2/identity/intermediate.pem":
                return 200, self.certificate.encode()
            case "/opc/v2/identity/key.pem":
                return 200, pem_of(self.instance_key).encode()
            case "/opc/v2/instance/region":
                return 200, b"fra"
            case "/v1/x509":
                asked = json.loads(body)
                return self._token(asked["publicKey"])
            case "/resourcePrincipalSessionTokens":
                if not headers.get("authorization", "").startswith("Bearer "):
                    return 401, b"{}"
                public_key = load_public(json.loads(body)["podKey"])
                token = json.dumps({"token": "ST$" + token_for(public_key, self.lifetime)})
                return 200, base64.b64encode(token.encode())
            case "" | "/":
                if problem := check_signature(method, path, headers):
                    self.problems[problem] += 1
                    return 401, b'{"code": "NotAuthenticated", "message": "no"}'
                tokens = {"resourcePrincipalToken": "rpt", "servicePrincipalSessionToken": "spst"}
                return 200, json.dumps(tokens).encode()
            case "/v1/resourcePrincipalSessionToken":
                return self._token(json.loads(body)["sessionPublicKey"])
        return 404, b"{}"

    def _token(self, public_key: str) -> tuple[int, bytes]:
        return 200, json.dumps({"token": token_for(load_public(public_key), self.lifetime)}).encode()

    def _data_flow(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        self.headers.append(headers)
        del self.headers[:-50]
        if "opc-obo-token" in headers:
            self.obo_tokens.add(headers["opc-obo-token"])
        if problem := check_signature(method, path, headers):
            self.problems[problem] += 1
            return 401, json.dumps({"code": "NotAuthenticated", "message": problem}).encode()
        self.calls["data flow"] += 1
        run_id = path.split("?")[0].rpartition("/")[2]
        return 200, json.dumps({"id": run_id, "lifecycleState": self.state}).encode()

    def _serve(self, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.split("?")[0]
                fault = service.faults[path].pop(0) if service.faults.get(path) else None
                if fault == 0:
                    service.calls[path] += 1
                    self.close_connection = True
                    self.connection.close()
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                if fault is None:
                    status, answer = service.answer(self.command, self.path, headers, body)
                else:
                    service.calls[path] += 1
                    status, answer = fault, b'{"code": "Fault", "message": "as told"}'
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = do_PUT = handle_any

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def load_public(sanitized: str) -> rsa.RSAPublicKey:
    key = serialization.load_der_public_key(base64.b64decode(sanitized))
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def main() -> None:
    service = IdentityService(**json.loads(sys.argv[1]))
    tls_port = service.serve_tls(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    print(json.dumps({"url": service.url, "tls_port": tls_port}), flush=True)
    sys.stdin.read()
    print(json.dumps({"calls": service.calls, "problems": service.problems}), flush=True)
    service.close()


if __name__ == "__main__":
    main()
