"""API signing keys: the identity of a home, and the registered public keys that verify requests."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key

from airflow_provider_dataflow.local.http.messages import Principal
from airflow_provider_dataflow.local.state.ocids import REGION, ocid

#: Name of the file with the private key in the identity folder of a home.
KEY_FILE = "api_key.pem"
# The oci CLI warns about a key file that does not end with this label.
_KEY_LABEL = "OCI_API_KEY"
# Prefix of a key id that is a security token instead of an API key.
TOKEN_PREFIX = "ST$"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Identity:
    """API signing key and OCIDs of the user that is registered in a home; deleted with the home."""

    tenancy: str
    user: str
    fingerprint: str
    region: str
    compartment_id: str
    private_key: str

    @property
    def key_id(self) -> str:
        return f"{self.tenancy}/{self.user}/{self.fingerprint}"


def fingerprint(key: RSAPublicKey) -> str:
    """Return the fingerprint as OCI computes it: the MD5 of the DER encoding, in hexadecimal pairs."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.md5(der, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def new_identity() -> Identity:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(
        tenancy=ocid("tenancy", region=""),
        user=ocid("user", region=""),
        fingerprint=fingerprint(key.public_key()),
        region=REGION,
        compartment_id=ocid("compartment", region=""),
        private_key=pem.decode(),
    )


def load_identity(folder: Path) -> Identity:
    """Load the identity from a folder, and create it first if there is none.

    :raises ValueError: the files are damaged
    """
    profile, key = folder / "profile.json", folder / KEY_FILE
    if not profile.exists():
        identity = new_identity()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_private(key, f"{identity.private_key}{_KEY_LABEL}\n")
        known = {k: v for k, v in asdict(identity).items() if k != "private_key"}
        _write_private(profile, json.dumps(known, indent=2) + "\n")
    pem = key.read_text().partition(_KEY_LABEL)[0]
    # Check that the key can be read, without the slow validation of its numbers.
    serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    return Identity(**json.loads(profile.read_text()), private_key=pem)


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically, with access for its owner only from the start."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """Public key and the principal that signs with it.

    :param expires: when a security token expires, in seconds since the epoch; ``None`` for an API key
    """

    principal: Principal
    public_key: RSAPublicKey
    expires: float | None = None


class KeyRing:
    """Registered public keys of API keys and security tokens, by the key id that a signature names."""

    def __init__(self) -> None:
        self._keys: dict[str, RegisteredKey] = {}
        self._tokens: dict[str, RegisteredKey] = {}

    def register(self, principal: Principal, public_key: RSAPublicKey) -> str:
        """Register an API key and return its key id."""
        key_id = f"{principal.tenancy}/{principal.user}/{fingerprint(public_key)}"
        self._keys[key_id] = RegisteredKey(principal, public_key)
        return key_id

    def register_identity(self, identity: Identity) -> None:
        key = serialization.load_pem_private_key(identity.private_key.encode(), None).public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("the identity's key is not an RSA key")
        self.register(Principal(identity.tenancy, identity.user), key)

    def register_token(
        self, token: str, principal: Principal, public_key: RSAPublicKey, expires: float | None
    ) -> RegisteredKey:
        registered = RegisteredKey(principal, public_key, expires)
        self._tokens[f"{TOKEN_PREFIX}{token}"] = registered
        return registered

    def tokens(self) -> list[RegisteredKey]:
        return list(self._tokens.values())

    def clear_tokens(self) -> None:
        """Revoke all security tokens."""
        self._tokens.clear()

    def find(self, key_id: str) -> RegisteredKey | None:
        return self._keys.get(key_id) or self._tokens.get(key_id)
