"""Private keys in every form that OpenSSL writes, after what forms, shells and editors do to them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import textwrap
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.config_file import read_file
from airflow_provider_dataflow.client.auth.private_key import (
    fingerprint_of,
    load_private_key,
    normalized_pem,
    secret_forms,
)
from airflow_provider_dataflow.exceptions import InvalidConnection
from tests.identity_service import certificate

PASS_PHRASE = "open sésame"
PEM, Format = serialization.Encoding.PEM, serialization.PrivateFormat


def traditional(der: bytes, cipher: str, algorithm: type, key_size: int, block: int) -> str:
    """Encrypt a key as ``openssl rsa -traditional`` does: MD5 of the passphrase, and header lines."""
    vector = os.urandom(block)
    secret = digest = b""
    while len(secret) < key_size:
        given = digest + PASS_PHRASE.encode() + vector[:8]
        digest = hashlib.md5(given, usedforsecurity=False).digest()
        secret += digest
    padder = padding.PKCS7(block * 8).padder()
    encryptor = Cipher(algorithm(secret[:key_size]), modes.CBC(vector)).encryptor()
    data = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    text = "\n".join(textwrap.wrap(base64.b64encode(data).decode(), 64))
    return (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        f"DEK-Info: {cipher},{vector.hex().upper()}\n\n{text}\n-----END RSA PRIVATE KEY-----\n"
    )


@pytest.fixture(scope="session")
def forms(private_key: rsa.RSAPrivateKey) -> dict[str, str]:
    """Return one key in all forms, by name. The encrypted ones have the passphrase ``PASS_PHRASE``."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

    secret = PASS_PHRASE.encode()
    plain, best = serialization.NoEncryption(), serialization.BestAvailableEncryption(secret)
    der = private_key.private_bytes(serialization.Encoding.DER, Format.TraditionalOpenSSL, plain)
    return {
        "PKCS#1": private_key.private_bytes(PEM, Format.TraditionalOpenSSL, plain).decode(),
        "PKCS#8": private_key.private_bytes(PEM, Format.PKCS8, plain).decode(),
        "encrypted PKCS#1": private_key.private_bytes(PEM, Format.TraditionalOpenSSL, best).decode(),
        "encrypted PKCS#8": private_key.private_bytes(PEM, Format.PKCS8, best).decode(),
        "AES-128": traditional(der, "AES-128-CBC", algorithms.AES, 16, 16),
        "3DES": traditional(der, "DES-EDE3-CBC", TripleDES, 24, 8),
    }


NAMES = ["PKCS#1", "PKCS#8", "encrypted PKCS#1", "encrypted PKCS#8", "AES-128", "3DES"]

LINE_ENDS = {
    "unix": "\n",
    "windows": "\r\n",
    "mac": "\r",
    "escaped": "\\n",
    "escaped windows": "\\r\\n",
    "escaped twice": "\\\\n",
    "escaped mac": "\\r",
    "space": " ",
    "spaces": "   ",
    "tab": "\t",
    "escaped tab": "\\t",
    "no-break space": "\u00a0",
    "nothing": "",
    "empty lines": "\n\n",
    "trailing space": " \n",
    "trailing backslash": "\\\n",
}
QUOTES = ["", '"', "'", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "`", '"""', '\\"']
PREFIXES = [
    "",
    "\ufeff",
    "\u200b",
    "  ",
    "\n\n",
    "private_key_content=",
    "Bag Attributes\n  localKeyID: 01 02\n",
]
SUFFIXES = ["", "OCI_API_KEY", "\nOCI_API_KEY\n", "\\nOCI_API_KEY", " OCI_API_KEY", "\n\n", "\u200b"]


def wrapped(pem: str, width: int) -> str:
    """Return the key with its Base64 in lines of another width; 0: in one line."""
    head, body, end = re.fullmatch(
        r"(-+BEGIN.*?-+\n(?:Proc.*\nDEK.*\n\n)?)(.*?)(\n-+END.*)", pem, re.DOTALL
    ).groups()
    packed = body.replace("\n", "")
    width = width or len(packed)
    return head + "\n".join(packed[i : i + width] for i in range(0, len(packed), width)) + end


def load(text: str, pass_phrase: str | None = PASS_PHRASE) -> rsa.RSAPrivateKey:
    return load_private_key(text, pass_phrase, field="private_key_content", unlocked_by="password")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line_end", list(LINE_ENDS))
def test_every_form_of_a_key_with_every_line_end_is_loaded(forms, private_key, name, line_end):
    text = forms[name].replace("\n", LINE_ENDS[line_end])
    assert load(text).private_numbers() == private_key.private_numbers()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(NAMES),
    width=st.sampled_from([0, 1, 5, 48, 63, 65, 70, 76, 1000]),
    line_end=st.sampled_from(list(LINE_ENDS)),
    indent=st.sampled_from(["", " ", "    ", "\t", "\u00a0"]),
    quotes=st.sampled_from(QUOTES),
    prefix=st.sampled_from(PREFIXES),
    suffix=st.sampled_from(SUFFIXES),
    escaped=st.sampled_from(["as it is", "JSON", "JSON for HTML", "percent", "Base64", "slashes", "dashes"]),
)
def test_combinations_of_changes_are_repaired(
    forms, private_key, name, width, line_end, indent, quotes, prefix, suffix, escaped
):
    lines = wrapped(forms[name], width).strip("\n").split("\n")
    # An indented line after a header line would continue it, so header lines stay unindented.
    text = LINE_ENDS[line_end].join(indent + line for line in lines)
    half = len(quotes) // 2 if len(quotes) == 2 and quotes != '\\"' else len(quotes)
    text = prefix + quotes[:half] + text + quotes[-half:] * bool(quotes) + suffix
    match escaped:
        case "JSON":
            text = json.dumps(text)
        case "JSON for HTML":
            text = json.dumps(text).replace("+", "\\u002b").replace("=", "\\u003d").replace("/", "\\/")
        case "percent":
            text = quote(text)
        case "Base64":
            text = base64.b64encode(text.encode()).decode() if text.startswith("-----BEGIN") else text
        case "slashes":
            text = text.replace("/", "\\/")
        case "dashes":
            text = text.replace("-----", "\u2014\u2013-")
    assert load(text).private_numbers() == private_key.private_numbers()
    # A normal form is not changed, and all forms that a log may show are masked.
    pem = normalized_pem(text)
    assert normalized_pem(pem) == pem
    assert all(line in set(secret_forms(text)) for line in pem.splitlines() if line and line[0] != "-")


@pytest.mark.parametrize("name", NAMES)
def test_normalized_pem_is_the_form_of_openssl(forms, name):
    assert normalized_pem(forms[name].replace("\n", " ")) == forms[name]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
@pytest.mark.parametrize(
    "command",
    [
        *(
            "rsa -traditional",
            "rsa -traditional -aes256",
            "rsa -traditional -aes192",
            "rsa -traditional -des3",
            "rsa -traditional -camellia256",
        ),
        *("pkcs8 -topk8 -nocrypt", "pkcs8 -topk8 -v2 aes-256-cbc", "pkcs8 -topk8 -v2 des3"),
        *("pkcs8 -topk8 -v1 PBE-SHA1-3DES", "pkcs8 -topk8 -scrypt", "rsa -aes128"),
    ],
)
@pytest.mark.parametrize("line_end", ["unix", "space", "nothing"])
def test_all_key_forms_of_openssl_are_loaded(forms, private_key, command, line_end):
    words = ["openssl", *command.split(), "-passout", "pass:secret"]
    done = subprocess.run(
        words, input=forms["PKCS#8"], capture_output=True, text=True, check=True, timeout=60
    )
    text = done.stdout.replace("\n", LINE_ENDS[line_end])
    assert load(text, "secret").private_numbers() == private_key.private_numbers()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line_end", ["unix", "nothing"])
def test_missing_and_wrong_passphrases_are_reported(forms, name, line_end):
    text = forms[name].replace("\n", LINE_ENDS[line_end])
    if name in ("PKCS#1", "PKCS#8"):
        assert load(text, None)
        assert load(text, "one too many")
        return
    with pytest.raises(
        InvalidConnection, match=r"^password: missing; .* in private_key_content .* passphrase"
    ):
        load(text, None)
    with pytest.raises(InvalidConnection, match=r"^private_key_content: .*: password is not its passphrase"):
        load(text, "open barley")


@pytest.fixture(scope="session")
def mistakes(private_key, forms) -> dict[str, str]:
    plain = serialization.NoEncryption()
    public = private_key.public_key()
    spki, pkcs1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    openssh = serialization.PublicFormat.OpenSSH
    curve = ec.generate_private_key(ec.SECP256R1())
    return {
        "public key": public.public_bytes(PEM, spki).decode(),
        "public key of PKCS#1": public.public_bytes(PEM, pkcs1).decode(),
        "public key of SSH": public.public_bytes(serialization.Encoding.OpenSSH, openssh).decode(),
        "certificate": certificate(private_key, "me"),
        "EC key": curve.private_bytes(PEM, Format.PKCS8, plain).decode(),
        "EC key of SEC 1": curve.private_bytes(PEM, Format.TraditionalOpenSSL, plain).decode(),
        "Ed25519 key": ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, Format.PKCS8, plain).decode(),
        "DSA key": dsa.generate_private_key(1024).private_bytes(PEM, Format.PKCS8, plain).decode(),
        "OpenSSH key": private_key.private_bytes(PEM, Format.OpenSSH, plain).decode(),
        "fingerprint": fingerprint_of(private_key),
        "path": "/home/me/.oci/secret_key",
        "path at home": "~/.oci/secret.pem",
        "path on Windows": "C:\\new\\secret.pem",
        "name": "secret.pem",
        "OCID": "ocid1.user.oc1..secret",
        "no END": forms["PKCS#8"][:-40],
        "half": forms["PKCS#8"][:800],
        "no BEGIN": forms["PKCS#8"][40:],
        "a line less": "".join(forms["PKCS#8"].splitlines(keepends=True)[:-3])
        + "-----END PRIVATE KEY-----\n",
        "a character less": forms["PKCS#1"][:100] + forms["PKCS#1"][101:],
        "an encrypted line less": "".join(forms["encrypted PKCS#8"].splitlines(keepends=True)[:-3])
        + "-----END ENCRYPTED PRIVATE KEY-----\n",
        "an ellipsis": forms["PKCS#8"][:200] + "..." + forms["PKCS#8"][-200:],
        "empty": "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----",
        "something else": "open the secret door",
    }


@pytest.mark.parametrize(
    ("mistake", "problem"),
    [
        ("public key", "this is a public key"),
        ("public key of PKCS#1", "this is a public key"),
        ("public key of SSH", "this is a public key"),
        ("certificate", "this is a certificate"),
        ("EC key", "this is a private key for EC"),
        ("EC key of SEC 1", "this is a private key for EC"),
        ("Ed25519 key", "this is a private key for Ed25519"),
        ("DSA key", "this is a private key for DSA"),
        ("OpenSSH key", "'ssh-keygen -p -m PEM -f <file>' converts it"),
        ("fingerprint", "this is a fingerprint"),
        ("path", "this is the path of a file"),
        ("path at home", "this is the path of a file"),
        ("path on Windows", "this is the path of a file"),
        ("name", "this is the name of a file"),
        ("OCID", "this is an OCID"),
        ("no END", "this is cut off: it has no END line"),
        ("half", "this is cut off: it has no END line"),
        ("no BEGIN", "this is cut off: it has no BEGIN line"),
        ("a line less", "incomplete or damaged"),
        ("a character less", "incomplete or damaged"),
        ("an encrypted line less", "incomplete or damaged"),
        ("an ellipsis", "incomplete or damaged"),
        ("empty", "incomplete or damaged"),
        ("something else", "the value is not one"),
    ],
)
@pytest.mark.parametrize("line_end", ["unix", "escaped", "space"])
def test_mistaken_text_is_named_and_not_quoted(key_fields, mistakes, mistake, problem, line_end):
    text = mistakes[mistake].replace("\n", LINE_ENDS[line_end])
    with pytest.raises(InvalidConnection) as caught:
        ApiKey(**key_fields | {"private_key_content": text}, pass_phrase=PASS_PHRASE).sign_in()
    message = str(caught.value)
    assert message.startswith("private_key_content: expected an RSA private key in PEM form; ")
    assert problem in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "secret" not in message
    words = re.findall(r"[\w+/]{12,}", mistakes[mistake])
    assert not [word for word in words if word in message]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_key_files_from_windows_are_read(tmp_path, forms, encoding):
    path = tmp_path / "key.pem"
    path.write_text(forms["PKCS#8"], encoding=encoding, newline="\r\n")
    assert load(read_file(str(path), "key_file"))


def test_key_as_bytes_is_loaded(forms):
    assert load(b"\xef\xbb\xbf" + forms["PKCS#1"].replace("\n", "\r\n").encode())
