"""What tests of the operator share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dvtfast.services.operator.oracles.client import OracleClient
from tests.services.chain.accounts import rich_account
from tests.services.chain.anvil import Chain
from tests.services.operator.managing.manager_commands import beacon  # noqa: F401 - a fixture
from tests.services.operator.scenes import allowed, cluster, limits, quick, scene  # noqa: F401 - fixtures
from tests.services.operator.sending.sending_accounts import Desk, set_base_fee

TIMEOUT_SECONDS = 5.0  # of oracles in this process; some never answer, and tests wait for that


@pytest.fixture
async def client() -> AsyncIterator[OracleClient]:
    async with OracleClient(timeout_seconds=TIMEOUT_SECONDS) as client:
        yield client


@pytest.fixture
async def desk(chain: Chain, tmp_path: Path) -> Desk:
    await set_base_fee(chain, 10)
    return Desk(chain, await chain.deploy("vault"), await rich_account(chain), tmp_path)
