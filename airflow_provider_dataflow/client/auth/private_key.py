"""Private keys in PEM form: repair, loading, and error messages that do not quote them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from airflow_provider_dataflow.exceptions import InvalidConnection

BEGIN = re.compile(r"-+\s*BEGIN\s*(RSA|EC|DSA|ENCRYPTED|OPENSSH|ANY|)\s*PRIVATE\s*KEY\s*-+")
END = re.compile(r"-+\s*END\s*(?:RSA|EC|DSA|ENCRYPTED|OPENSSH|ANY|)\s*PRIVATE\s*KEY\s*-+")

#: Header lines of a key in OpenSSL's traditional encryption: cipher and initialization vector.
PROC_TYPE = re.compile(r"Proc-Type\s*:\s*4\s*,\s*ENCRYPTED")
DEK_INFO = re.compile(r"DEK-Info\s*:\s*([A-Za-z0-9-]+)\s*,\s*")
OTHER_HEADER = re.compile(r"^\s*[A-Za-z][A-Za-z0-9-]*:\s.*$", re.MULTILINE)
#: Ciphers with blocks of 16 bytes instead of 8. The vector has the length of a block, which tells where it
#: ends if the line ends are lost.
CIPHERS_WITH_LONG_BLOCKS = ("AES", "CAMELLIA", "ARIA", "SEED")

ESCAPED_LINE_END = re.compile(r"\\+(?:r\\+n|[rnt])")
ESCAPED_CHARACTER = re.compile(r"\\+u([0-9a-fA-F]{4})")
PERCENT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
#: Byte order marks and other characters without a width.
INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad\u0000]")
#: Characters to ignore within a key: white space, quotes and backslashes.
PADDING = re.compile("[\\s\\\\\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a\u2032\u2033]+")
#: Base64 of "-----BEGIN ": a PEM file that was encoded again, as in a Kubernetes secret.
ENCODED_BEGIN = "LS0tLS1CRUdJTi"

LINE_LENGTH = 64
#: Shortest part of a key to mask. A shorter one might occur in ordinary text.
MIN_SECRET_LENGTH = 16

UNSUPPORTED_CIPHER = (
    "the private key is encrypted with an unsupported algorithm; expected AES-256, as "
    "'openssl pkcs8 -topk8 -v2 aes-256-cbc' writes it"
)


def normalized_pem(text: str) -> str:
    """Return the private key of a text in the form in which OpenSSL writes it.

    Repairs line ends, quotes and dashes, which forms, environment variables, JSON and editors change. Drops
    other text, such as the line that the console appends. A text without a private key is returned unchanged,
    with a line end.
    """
    text = _without_escapes(text)
    begin = BEGIN.search(text)
    end = END.search(text, begin.end()) if begin else None
    if begin is None or end is None:
        return text.strip() + "\n"
    label = f"{begin[1]} PRIVATE KEY".strip()
    headers, body = _split_headers(text[begin.end() : end.start()])
    packed = PADDING.sub("", body)
    lines = [packed[i : i + LINE_LENGTH] for i in range(0, len(packed), LINE_LENGTH)]
    return "\n".join([f"-----BEGIN {label}-----", *headers, *lines, f"-----END {label}-----", ""])


def _without_escapes(text: str) -> str:
    packed = PADDING.sub("", INVISIBLE.sub("", text))
    if packed.startswith(ENCODED_BEGIN):
        try:
            text = base64.b64decode(packed, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return text
    if PERCENT_ENCODED.search(text):
        text = unquote(text)
    text = ESCAPED_CHARACTER.sub(lambda match: chr(int(match[1], 16)), text)
    text = ESCAPED_LINE_END.sub("\n", text).replace("\r\n", "\n").replace("\r", "\n")
    return DASHES.sub("-", INVISIBLE.sub("", text))


def _split_headers(block: str) -> tuple[list[str], str]:
    """Separate the header lines of a key from its Base64.

    :return: the header lines, with the empty line after them, and the Base64.
    """
    dek = DEK_INFO.search(block)
    if dek is None or not PROC_TYPE.search(block):
        return [], OTHER_HEADER.sub("", block)
    digits = 32 if dek[1].upper().startswith(CIPHERS_WITH_LONG_BLOCKS) else 16
    vector = block[dek.end() : dek.end() + digits]
    headers = ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {dek[1].upper()},{vector.upper()}", ""]
    return headers, OTHER_HEADER.sub("", block[dek.end() + digits :])


def secret_forms(text: str) -> Iterator[str]:
    """Yield the forms in which a log may show a private key, and its lines, to register them as secrets."""
    pem = normalized_pem(text)
    yield text
    yield pem
    yield pem.replace("\n", "\\n")
    yield from (line for line in pem.splitlines() if line and not line.startswith("-----"))
    yield from (piece for piece in PADDING.split(text) if len(piece) >= MIN_SECRET_LENGTH)
    begin, end = BEGIN.search(pem), END.search(pem)
    if begin and end:
        yield PADDING.sub("", _split_headers(pem[begin.end() : end.start()])[1])


def load_private_key(pem: str | bytes, pass_phrase: str | None, *, field: str, unlocked_by: str) -> Any:
    """Load an RSA key. Error messages do not quote it.

    :param pem: the key, as :func:`normalized_pem` accepts it.
    :param field: where the key comes from, for messages.
    :param unlocked_by: where the passphrase comes from, for messages.
    :raises InvalidConnection: the text is not an RSA key, or the passphrase is missing or wrong.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = normalized_pem(pem if isinstance(pem, str) else pem.decode("utf-8", "replace"))
    expected = f"{field}: expected an RSA private key in PEM form"
    try:
        data = _decrypted(text, pass_phrase) if pass_phrase else None
        key = _load(load_pem_private_key, data or text.encode(), pass_phrase)
        if isinstance(key, RSAPrivateKey):
            # Cheaper than the library's validation, which holds the GIL for 50 ms and so blocks event loops.
            key.public_key().verify(key.sign(b"check", PKCS1v15(), SHA256()), b"check", PKCS1v15(), SHA256())
    except TypeError:
        raise InvalidConnection(
            f"{unlocked_by}: missing; the private key in {field} is encrypted and needs its passphrase"
        ) from None
    except UnsupportedAlgorithm:
        raise InvalidConnection(f"{field}: {UNSUPPORTED_CIPHER}") from None
    except (ValueError, InvalidSignature) as error:
        if re.search(r"unknown.*(cipher|algorithm)|(cipher|algorithm).*unknown", str(error), re.IGNORECASE):
            raise InvalidConnection(f"{field}: {UNSUPPORTED_CIPHER}") from None
        # "from None": the cause may quote the key.
        problem = _problem_of(text) or _mistake_in(pem if isinstance(pem, str) else "")
        if problem is None and pass_phrase and _is_encrypted(text):
            raise InvalidConnection(
                f"{field}: the private key cannot be decrypted: {unlocked_by} is not its passphrase"
            ) from None
        raise InvalidConnection(f"{expected}; {problem or 'the value is not one'}") from None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidConnection(f"{expected}; this is {_algorithm_of(key)}")
    return key


def _load(load: Any, data: bytes, pass_phrase: str | None) -> Any:
    secret = pass_phrase.encode() if pass_phrase else None
    try:
        return load(data, secret, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        if secret is None:
            raise
        # The key is not encrypted: ignore the passphrase.
        return load(data, None, unsafe_skip_rsa_key_validation=True)


def _decrypted(pem: str, pass_phrase: str) -> bytes | None:
    """Decrypt a key in OpenSSL's traditional form whose cipher ``cryptography`` does not support there.

    :return: the key in PEM form; ``None`` for all other keys.
    :raises ValueError: the passphrase is wrong.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    begin, end = BEGIN.search(pem), END.search(pem)
    headers, body = _split_headers(pem[begin.end() : end.start()]) if begin and end else ([], "")
    cipher = re.search(r"(AES|CAMELLIA)-(128|192|256)-CBC,([0-9A-F]{32})$", headers[1]) if headers else None
    if begin is None or cipher is None or cipher[0].startswith(("AES-128", "AES-256")):
        return None
    size, vector = int(cipher[2]) // 8, bytes.fromhex(cipher[3])
    secret = digest = b""
    while len(secret) < size:
        # OpenSSL's EVP_BytesToKey.
        given = digest + pass_phrase.encode() + vector[:8]
        digest = hashlib.md5(given, usedforsecurity=False).digest()
        secret += digest
    algorithm = algorithms.AES if cipher[1] == "AES" else _camellia()
    decryptor = Cipher(algorithm(secret[:size]), modes.CBC(vector)).decryptor()
    padded = decryptor.update(base64.b64decode(PADDING.sub("", body))) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    der = base64.b64encode(unpadder.update(padded) + unpadder.finalize()).decode()
    return normalized_pem(f"-----BEGIN RSA PRIVATE KEY-----{der}-----END RSA PRIVATE KEY-----").encode()


def _camellia() -> Any:
    from cryptography.hazmat.decrepit.ciphers import algorithms as decrepit
    from cryptography.hazmat.primitives.ciphers import algorithms

    # cryptography has moved it, and warns of the old place.
    return getattr(decrepit, "Camellia", None) or algorithms.Camellia


def _is_encrypted(pem: str) -> bool:
    return "ENCRYPTED" in pem


def _algorithm_of(key: Any) -> str:
    """Return the kind of a private key, from its class, such as ``EllipticCurvePrivateKey``."""
    name = re.sub(r"PrivateKey.*", "", type(key).__name__)
    return f"a private key for {'EC' if name.startswith(('EC', 'Elliptic')) else name}"


#: Texts that are pasted instead of a private key: pattern and message.
MISTAKES = (
    (r"BEGIN OPENSSH PRIVATE KEY", "this is an OpenSSH key; 'ssh-keygen -p -m PEM -f <file>' converts it"),
    (r"PuTTY-User-Key-File", "this is a PuTTY key; PuTTYgen exports it as an OpenSSL key"),
    (r"BEGIN (EC|DSA) PRIVATE KEY", "this is a key of another algorithm, EC or DSA"),
    (r"BEGIN [A-Z ]*PUBLIC KEY|^\s*(ssh-|ecdsa-)\S+ ", "this is a public key"),
    (r"BEGIN [A-Z0-9 ]*CERTIFICATE REQUEST", "this is a certificate request"),
    (r"BEGIN [A-Z0-9 ]*CERTIFICATE", "this is a certificate"),
    (r"^\s*([0-9A-Fa-f]{2}:){15,}[0-9A-Fa-f]{2}\s*$", "this is a fingerprint"),
    (r"^\s*ocid1\.", "this is an OCID"),
    (r"^\s*(file:|[A-Za-z]:\\|\.{0,2}/|~)\S*\s*$", "this is the path of a file instead of its content"),
    (r"^\s*\S+\.(pem|key|txt|pub|crt|cer|p8|p12)\s*$", "this is the name of a file instead of its content"),
)


def _problem_of(pem: str) -> str | None:
    """Return the problem of a text that is not a private key, or ``None``. Quotes nothing."""
    if BEGIN.search(pem) and not END.search(pem):
        return "this is cut off: it has no END line"
    if END.search(pem) and not BEGIN.search(pem):
        return "this is cut off: it has no BEGIN line"
    if mistake := _mistake_in(pem):
        return mistake
    begin, end = BEGIN.search(pem), END.search(pem)
    if begin and end and _is_cut_off(pem[begin.end() : end.start()]):
        return "this is incomplete or damaged: it does not have the length that it states"
    return None


def _mistake_in(text: str) -> str | None:
    for pattern, problem in MISTAKES:
        if re.search(pattern, text):
            return problem
    return None


def _is_cut_off(block: str) -> bool:
    """Return whether a key is shorter or longer than its outermost ASN.1 sequence states."""
    headers, body = _split_headers(block)
    try:
        data = base64.b64decode(PADDING.sub("", body), validate=True)
    except binascii.Error:
        return True
    if headers:
        return len(data) % 8 != 0
    if len(data) < 4:
        return True
    if data[0] != 0x30 or data[1] & 0x80 == 0:
        return False
    size = data[1] & 0x7F
    return len(data) != 2 + size + int.from_bytes(data[2 : 2 + size])


def fingerprint_of(private_key: Any) -> str:
    """Return OCI's fingerprint of a key: MD5 of the public key's DER, in hexadecimal pairs."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.md5(der, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
