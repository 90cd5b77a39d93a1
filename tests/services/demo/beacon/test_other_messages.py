"""What validators send beside their duties: exits, registrations with builders, where fees go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dvtfast.duties.codecs import codec
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.validator_messages import (
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from dvtfast.services.chain.beacon.client import BeaconError
from tests.services.demo.beacon.chains import RunningChain
from tests.services.demo.beacon.validators import Validators

VALIDATOR = 7
FEES = "0x" + 20 * "ab"


async def test_an_exit_is_included_and_done(chain: RunningChain, validators: Validators) -> None:
    """The domain is of Capella, whatever the epoch; nobody may exit in the first one."""
    client, per_epoch = validators.client, validators.client.chain.slots_per_epoch
    message = VoluntaryExit(epoch=1, validator_index=VALIDATOR)
    signed = SignedVoluntaryExit(message, _signature(validators, message, DutyType.EXIT, 1))
    await chain.go_to(1)
    with pytest.raises(BeaconError, match="voluntary exit epoch is in the future"):
        await client.send_exit(signed)
    await chain.go_to(per_epoch)
    wrong = replace(signed, signature=_signature(validators, message, DutyType.RANDAO, 1))
    with pytest.raises(BeaconError, match="invalid voluntary exit signature"):
        await client.send_exit(wrong)
    await client.send_exit(signed)
    await client.send_exit(signed)  # does no harm
    await validators.propose(per_epoch)
    [key] = (await client.public_keys([VALIDATOR])).values()
    details = (await client.details([key], state="head"))[key]
    assert details.status == "active_exiting"


async def test_a_registration_is_of_no_chain(still_chain: RunningChain, validators: Validators) -> None:
    client = validators.client
    [key] = (await client.public_keys([VALIDATOR])).values()
    message = ValidatorRegistration(bytes(20), 60_000_000, 1_700_000_000, key)
    signature = _signature(validators, message, DutyType.BUILDER_REGISTRATION, 0)
    await client.register_validators([SignedValidatorRegistration(message, signature)])
    later = replace(message, timestamp=1_700_000_001)
    with pytest.raises(BeaconError, match=r"invalid registration signature \(at 0\)"):
        await client.register_validators([SignedValidatorRegistration(later, signature)])


async def test_fees_go_where_the_proposer_says(chain: RunningChain, validators: Validators) -> None:
    client, slot = validators.client, 1
    await client.prepare_proposers(dict.fromkeys(range(64), FEES))
    await chain.go_to(slot)
    [duty] = [each for each in (await client.proposer_duties(0)).duties if each.slot == slot]
    block = await validators.block(slot, duty.validator_index, graffiti=b"ours".ljust(32, b"\0"))
    body = block.contents(client.preset).block.body
    assert body.execution_payload.fee_recipient.hex() == FEES[2:]
    assert body.graffiti.rstrip(b"\0") == b"ours"


async def test_subscriptions_do_no_harm(still_chain: RunningChain, validators: Validators) -> None:
    await validators.client.subscribe_committees([{"validator_index": "1"}])
    await validators.client.subscribe_sync_committees([])


def _signature(validators: Validators, message: Any, duty: DutyType, epoch: int) -> bytes:
    """By the domain that the library has for a duty."""
    domain = validators.client.chain.schedule.domain(duty, epoch)
    spec, name = validators.spec, type(message).__name__
    encoded = codec(type(message)).encode(message)
    root = spec.compute_signing_root(getattr(spec, name).decode_bytes(encoded), spec.Domain(domain))
    return validators.sign([VALIDATOR], [root])[0]
