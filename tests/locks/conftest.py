"""How several names are asked for."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["together", "in turn"])
def way(request: pytest.FixtureRequest) -> str:
    """How the names are asked for: as on one server, or as on a cluster, where the way is always in turn."""
    return str(request.param)
