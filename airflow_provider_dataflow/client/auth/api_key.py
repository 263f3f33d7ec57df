"""API signing key of a user."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from airflow_provider_dataflow.client.auth.credentials import SignIn, sign_in_with_key
from airflow_provider_dataflow.client.auth.private_key import fingerprint_of, load_private_key
from airflow_provider_dataflow.exceptions import InvalidConnection

FINGERPRINT = re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True)
class ApiKey:
    """An API signing key of a user.

    :param user: OCID of the user (the connection's login).
    :param tenancy: OCID of the tenancy.
    :param fingerprint: fingerprint of the key, as the console shows it.
    :param private_key_content: the key in PEM form, as :func:`.normalized_pem` accepts it.
    :param pass_phrase: passphrase of an encrypted key (the connection's password).
    :param names: pairs of an attribute and the name that error messages use for it.
    :param region: the user's region, if the source of the key names one.
    :raises InvalidConnection: a field is missing or malformed.
    """

    user: str
    tenancy: str
    fingerprint: str
    private_key_content: str = field(repr=False)
    pass_phrase: str | None = field(default=None, repr=False)
    region: str | None = None
    names: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        self._check_ocid("user", "user", "login")
        self._check_ocid("tenancy", "tenancy", "tenancy")
        name = self._name("fingerprint", "fingerprint")
        if not self.fingerprint:
            raise InvalidConnection(f"{name}: missing; the console shows it next to the API key")
        if not FINGERPRINT.fullmatch(self.fingerprint.lower()):
            raise InvalidConnection(
                f"{name}: expected 16 pairs of hex digits separated by colons, got {self.fingerprint!r}"
            )
        if not self.private_key_content:
            raise InvalidConnection(
                f"{self._name('private_key_content', 'private_key_content')}: missing; "
                "expected the API key in PEM form"
            )

    def sign_in(self) -> SignIn:
        fingerprint = self.fingerprint.lower()
        name = self._name("private_key_content", "private_key_content")
        key = load_private_key(
            self.private_key_content,
            self.pass_phrase,
            field=name,
            unlocked_by=self._name("pass_phrase", "password"),
        )
        if (actual := fingerprint_of(key)) != fingerprint:
            raise InvalidConnection(
                f"{name}: its fingerprint is {actual}, but "
                f"{self._name('fingerprint', 'fingerprint')} says {fingerprint}"
            )
        return sign_in_with_key(f"{self.tenancy}/{self.user}/{fingerprint}", key, self.region)

    def _name(self, attribute: str, default: str) -> str:
        return dict(self.names).get(attribute, default)

    def _check_ocid(self, attribute: str, resource_type: str, default: str) -> None:
        value, name = getattr(self, attribute), self._name(attribute, default)
        if not value:
            raise InvalidConnection(f"{name}: missing; expected the OCID of a {resource_type}")
        if not re.fullmatch(rf"ocid1\.{resource_type}\.[\w.-]+", value, re.ASCII):
            raise InvalidConnection(f"{name}: expected an OCID like ocid1.{resource_type}..., got {value!r}")
