from __future__ import annotations

import pytest

from tests.unit.local.support import Local


@pytest.fixture
def local(tmp_path) -> Local:
    return Local(tmp_path)
