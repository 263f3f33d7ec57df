from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import InvalidArgument


@pytest.mark.parametrize("text", ["oci://b@n/", "oci://b-1_.@n/a/b c.py", "oci://b@n/a//b/"])
def test_round_trip(text):
    assert str(ObjectUri.parse(text)) == text


def test_join():
    assert str(ObjectUri.parse("oci://b@n") / "a") == "oci://b@n/a"
    assert str(ObjectUri.parse("oci://b@n/p/") / "a" / "b") == "oci://b@n/p/a/b"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "b@n/a",
            "oci://b/a",
            "oci://@n/a",
            "oci://b@/a",
            "oci://b@n@m/a",
            "s3://b@n/a",
            "oci://b c@n/a",
        ),
        *("oci://b@n/a/../c", "oci://b@n/.", "oci://b@n/a\nb", f"oci://b@n/{'ü' * 513}", None),
    ],
)
def test_malformed_uri_is_refused_with_the_argument(text):
    with pytest.raises(InvalidArgument, match=r"^staging_uri: expected oci://bucket@namespace/name"):
        ObjectUri.parse(text, "staging_uri")
