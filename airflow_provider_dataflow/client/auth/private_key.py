"""Private keys in PEM form."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidConnection

PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)


def normalized_pem(text: str) -> str:
    """The PEM block in a text, with line ends as they should be.

    Environment variables bring line ends as ``\\n`` in two characters, and a browser's password field drops
    them. The console adds a line behind the block.
    """
    text = text.replace("\\r", "").replace("\\n", "\n").strip()
    if (match := PEM.search(text)) is None:
        return text + "\n"
    label, body = match[1], match[2]
    if "\n" not in body.strip():
        packed = re.sub(r"\s+", "", body)
        body = "\n" + "\n".join(packed[i : i + 64] for i in range(0, len(packed), 64)) + "\n"
    return f"-----BEGIN {label}-----{body}-----END {label}-----\n"


def load_private_key(pem: str | bytes, pass_phrase: str | None, *, field: str, unlocked_by: str) -> Any:
    """Load an RSA key without ever quoting it.

    :param field: what the key came from, for messages; likewise ``unlocked_by``.
    :raises InvalidConnection: it is no such key, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = pem.encode() if isinstance(pem, str) else pem
    hint = f", or {unlocked_by} is not its passphrase" if pass_phrase else ""
    try:
        key = _load(load_pem_private_key, data, pass_phrase)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError
        # Instead of the full check of the key's numbers, which holds the GIL, and with it an event loop in
        # another thread, for 50 ms.
        key.public_key().verify(key.sign(b"check", PKCS1v15(), SHA256()), b"check", PKCS1v15(), SHA256())
    except TypeError:
        raise InvalidConnection(
            f"{unlocked_by}: the private key is encrypted and needs its passphrase"
        ) from None
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        # Without the cause, which may quote the key.
        raise InvalidConnection(
            f"{field}: expected an RSA private key in PEM form; this is none{hint}"
        ) from None
    return key


def _load(load: Any, data: bytes, pass_phrase: str | None) -> Any:
    secret = pass_phrase.encode() if pass_phrase else None
    try:
        return load(data, secret, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        if secret is None:
            raise
        # The key is not encrypted: a passphrase too many does no harm.
        return load(data, None, unsafe_skip_rsa_key_validation=True)


def fingerprint_of(private_key: Any) -> str:
    """As OCI forms it: MD5 of the public key's DER, in hexadecimal pairs."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.md5(der, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
