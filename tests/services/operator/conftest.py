"""What tests of the operator share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dvtfast.services.operator.oracles.client import OracleClient

TIMEOUT_SECONDS = 2.0  # of an oracle on this machine


@pytest.fixture
async def client() -> AsyncIterator[OracleClient]:
    async with OracleClient(timeout_seconds=TIMEOUT_SECONDS) as client:
        yield client
