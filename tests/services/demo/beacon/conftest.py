"""A chain with one node, and validators that have nothing to do yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvtfast import generate_secret_keys
from dvtfast.services.chain.beacon.duties import DutiesClient
from tests.services.demo.beacon.chains import PATIENT, TESTNET, VALIDATORS, RunningChain, running_chain
from tests.services.demo.beacon.validators import Validators, specification


@pytest.fixture(scope="session")
def spec() -> Any:
    return specification()


@pytest.fixture(scope="session")
def secret_keys() -> np.ndarray:
    return generate_secret_keys(VALIDATORS)


@pytest.fixture(scope="module")
def still_chain(tmp_path_factory: pytest.TempPathFactory, secret_keys: np.ndarray) -> Iterator[RunningChain]:
    """One that stays at genesis."""
    with running_chain(tmp_path_factory.mktemp("chain"), secret_keys) as chain:
        yield chain


@pytest.fixture
def chain(tmp_path: Path, secret_keys: np.ndarray) -> Iterator[RunningChain]:
    with running_chain(tmp_path, secret_keys) as chain:
        yield chain


@pytest.fixture
async def validators(chain: RunningChain, secret_keys: np.ndarray, spec: Any) -> AsyncIterator[Validators]:
    async with DutiesClient(chain.urls, expected=TESTNET, **PATIENT) as client:
        await client.learn()
        yield Validators(client, spec, secret_keys)
