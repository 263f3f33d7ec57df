"""The ways to sign in. So far: an API key, given inline."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidConnection

FINGERPRINT = re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", re.ASCII)


def _ocid(value: str | None, resource_type: str, field_name: str) -> str:
    if not value:
        raise InvalidConnection(f"{field_name}: missing; expected the OCID of a {resource_type}")
    if not re.fullmatch(rf"ocid1\.{resource_type}\.[\w.-]+", value, re.ASCII):
        raise InvalidConnection(
            f"{field_name}: expected an OCID like ocid1.{resource_type}..., got {value!r}"
        )
    return value


@dataclass(frozen=True)
class ApiKey:
    """An API signing key of a user.

    :param user: OCID of the user (the connection's login).
    :param tenancy: OCID of the tenancy.
    :param fingerprint: of the key, as the console shows it.
    :param private_key_content: the key in PEM form. Escaped line ends, as environment variables may
        bring them, are understood.
    :param pass_phrase: of the key, if it has one (the connection's password).
    :raises InvalidConnection: a field is missing or malformed; named by the connection's field names.
    """

    user: str
    tenancy: str
    fingerprint: str
    private_key_content: str = field(repr=False)
    pass_phrase: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _ocid(self.user, "user", "login")
        _ocid(self.tenancy, "tenancy", "tenancy")
        if not self.fingerprint:
            raise InvalidConnection("fingerprint: missing; the console shows it beside the API key")
        if not FINGERPRINT.fullmatch(self.fingerprint):
            raise InvalidConnection(
                f"fingerprint: expected 16 pairs of hex digits with colons between, got {self.fingerprint!r}"
            )
        if not self.private_key_content:
            raise InvalidConnection("private_key_content: missing; expected the API key in PEM form")

    @property
    def pem(self) -> str:
        return self.private_key_content.replace("\\n", "\n").strip() + "\n"

    def build_signer(self) -> Any:
        from oci.exceptions import InvalidPrivateKey, MissingPrivateKeyPassphrase
        from oci.signer import Signer

        try:
            signer = Signer(
                tenancy=self.tenancy,
                user=self.user,
                fingerprint=self.fingerprint,
                private_key_file_location=None,
                pass_phrase=self.pass_phrase,
                private_key_content=self.pem,
            )
        except MissingPrivateKeyPassphrase:
            raise InvalidConnection(
                "password: the private key is encrypted and needs its passphrase"
            ) from None
        except (InvalidPrivateKey, ValueError):
            # Without the cause: the SDK's message may quote the key.
            hint = ", or password is not its passphrase" if self.pass_phrase else ""
            raise InvalidConnection(
                f"private_key_content: expected a private key in PEM form; this is none{hint}"
            ) from None
        actual = _fingerprint_of(signer.private_key)
        if actual != self.fingerprint:
            raise InvalidConnection(
                f"private_key_content: its fingerprint is {actual}, but fingerprint says {self.fingerprint}"
            )
        return signer

    def sdk_config(self) -> dict[str, str]:
        return {
            "user": self.user,
            "tenancy": self.tenancy,
            "fingerprint": self.fingerprint,
            "key_content": self.pem,
        }


def _fingerprint_of(private_key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.md5(der, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
