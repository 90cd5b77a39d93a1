"""What validator clients hand in, in the tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np

from dvtfast.duties.attestations import SingleAttestation
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.forks import FULU
from dvtfast.duties.signables import vote
from dvtfast.duties.signed_sets import NO_SIGNATURE
from dvtfast.duties.wrappers import AttesterValue
from tests.services.node.flows.flow_parts import DATA
from tests.services.node.flows.test_aggregates import duties as committees
from tests.services.node.flows.test_aggregates import place
from tests.services.node.validator_api.client_before_node import (
    FULU_HEADER,
    Before,
    signed,
)

VOTES = "/eth/v2/beacon/pool/attestations"
MESSAGES = "/eth/v1/beacon/pool/sync_committees"
AGREED = {
    position: vote(FULU, AttesterValue(DATA, place(each))) for position, each in enumerate(committees())
}
BLOCK = FULU_HEADER | {"Content-Type": "application/json"}
OTHER_ROOT = bytes(reversed(range(32)))
NOT_OURS = "validator 7 is none of this cluster's that are active"


def single(position: int, signature: bytes = NO_SIGNATURE, **more: Any) -> SingleAttestation:
    """The agreed vote of a validator, as its client hands it in."""
    duty = committees()[position]
    made = SingleAttestation(duty.committee_index, duty.validator_index, DATA, signature)
    return replace(made, **more)


def good_votes() -> list[SingleAttestation]:
    values = signed(DutyType.ATTESTER, list(AGREED), list(AGREED.values()))
    return [single(position, value.message.signature) for position, value in enumerate(values)]


async def until_given(found: Before, duty: DutyType, validator: int) -> None:
    while found.signers(duty, validator) != [0]:  # noqa: ASYNC110 - the test's own time limit
        await asyncio.sleep(0.01)


def validators_at(*positions: int) -> Any:
    return np.array(positions, np.intp)
