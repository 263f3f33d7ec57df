from __future__ import annotations

import pytest

from tests.unit.local.objects import ObjectClient


@pytest.fixture
def objects(local) -> ObjectClient:
    return ObjectClient(local)
