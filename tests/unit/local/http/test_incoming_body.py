from __future__ import annotations

from unittest.mock import Mock

from airflow_provider_dataflow.local.http.incoming_body import IncomingBody


def test_file_is_removed_even_if_it_cannot_be_closed(tmp_path):
    body = IncomingBody(tmp_path / "incoming")
    body.write(b"x")
    file = body._file
    assert file is not None
    body._file = Mock()
    body._file.close.side_effect = OSError("disk full")
    body.discard()
    file.close()
    assert list((tmp_path / "incoming").iterdir()) == []
