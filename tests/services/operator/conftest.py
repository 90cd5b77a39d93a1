"""What tests of the operator share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dvtfast.services.operator.oracles.client import OracleClient

TIMEOUT_SECONDS = 5.0  # of oracles in this process; some never answer, and tests wait for that


@pytest.fixture
async def client() -> AsyncIterator[OracleClient]:
    async with OracleClient(timeout_seconds=TIMEOUT_SECONDS) as client:
        yield client
