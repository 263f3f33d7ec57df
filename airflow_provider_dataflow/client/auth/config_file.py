"""API key or session token of a profile in the SDK's configuration file."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.credentials import SignIn, sign_in_with_token
from airflow_provider_dataflow.client.auth.private_key import load_private_key
from airflow_provider_dataflow.client.auth.security_token import check_pair, read_consistent_pair
from airflow_provider_dataflow.exceptions import InvalidConnection

DEFAULT_PROFILE = "DEFAULT"


@dataclass(frozen=True)
class ConfigFile:
    """API key of a profile. Each sign-in reads the files again.

    :param path: path of the configuration file. Default: ``OCI_CONFIG_FILE``, or ``~/.oci/config``.
    :param profile: section of the file.
    :param pass_phrase: passphrase of the key if the profile has none (the connection's password).
    """

    path: str | None = None
    profile: str = DEFAULT_PROFILE
    pass_phrase: str | None = field(default=None, repr=False)

    def sign_in(self) -> SignIn:
        values, where = read_profile(self.path, self.profile)
        if not values.get("user") and values.get("security_token_file"):
            raise InvalidConnection(
                f"{where}: the profile has a session token and no user; expected auth_type security_token"
            )
        return ApiKey(
            user=values.get("user") or "",
            tenancy=values.get("tenancy") or "",
            fingerprint=values.get("fingerprint") or "",
            private_key_content=read_file(values.get("key_file"), f"{where}: key_file"),
            pass_phrase=values.get("pass_phrase") or self.pass_phrase,
            region=values.get("region"),
            names=(
                ("user", f"{where}: user"),
                ("tenancy", f"{where}: tenancy"),
                ("fingerprint", f"{where}: fingerprint"),
                ("private_key_content", f"{where}: key_file"),
                ("pass_phrase", f"{where}: pass_phrase"),
            ),
        ).sign_in()


@dataclass(frozen=True)
class SecurityToken:
    """Session token of a profile, as ``oci session authenticate`` writes it.

    A token is valid for an hour. ``oci session refresh`` rewrites its file, which a refresh reads again.

    :param path: path of the configuration file, as for :class:`ConfigFile`.
    :param profile: section of the file.
    :param pass_phrase: passphrase of the session's key if the profile has none.
    """

    path: str | None = None
    profile: str = DEFAULT_PROFILE
    pass_phrase: str | None = field(default=None, repr=False)

    def sign_in(self) -> SignIn:
        return read_consistent_pair(self._read)

    def _read(self) -> SignIn:
        values, where = read_profile(self.path, self.profile)
        token = read_file(values.get("security_token_file"), f"{where}: security_token_file").strip()
        key = load_private_key(
            read_file(values.get("key_file"), f"{where}: key_file"),
            values.get("pass_phrase") or self.pass_phrase,
            field=f"{where}: key_file",
            unlocked_by=f"{where}: pass_phrase",
        )
        check_pair(token, key, field=f"{where}: security_token_file", key_field="its key_file")
        return sign_in_with_token(token, key, values.get("region"))


def read_profile(path: str | None, profile: str) -> tuple[dict[str, Any], str]:
    """Return the values of a profile, and how error messages name the profile.

    :raises InvalidConnection: the file or the profile does not exist, or is malformed.
    """
    from configparser import Error

    from airflow_provider_dataflow.client.sdk import oci

    where = f"config_file {path or oci.config.DEFAULT_LOCATION}, profile {profile}"
    try:
        return dict(oci.config.from_file(path or oci.config.DEFAULT_LOCATION, profile)), where
    except (oci.exceptions.ClientError, Error, OSError, ValueError) as error:
        # The errors of the parser quote lines of the file.
        message = "the file is malformed" if isinstance(error, (Error, UnicodeDecodeError)) else str(error)
        raise InvalidConnection(f"{where}: {message}") from None


def read_file(path: str | None, field_name: str) -> str:
    """Return the text of a file.

    :raises InvalidConnection: the file does not exist, or is not text.
    """
    if not path:
        raise InvalidConnection(f"{field_name}: missing; expected the path of a file")
    try:
        data = Path(path).expanduser().read_bytes()
        # Windows starts text files with a byte order mark.
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidConnection(f"{field_name}: {path} cannot be read: {reason}") from None
