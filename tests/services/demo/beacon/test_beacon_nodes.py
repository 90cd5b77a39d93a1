"""Several nodes before one chain, some away, late, behind or liars: the client goes on, and says who."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dvtfast.services.chain.beacon.chain_constants import ExpectedChain
from dvtfast.services.chain.beacon.client import BeaconError
from dvtfast.services.chain.beacon.duties import BlockHeader, DutiesClient
from dvtfast.services.chain.beacon.duty_cache import DutyCache
from tests.services.chain.servers import DEAD
from tests.services.demo.beacon.chains import PATIENT, TESTNET, RunningChain, running_chain
from tests.services.demo.beacon.validators import Validators
from tests.services.patience import PATIENCE_SECONDS

NODES = 3
LATE_SECONDS = 60.0  # as long as nobody waits


@pytest.fixture
def nodes(tmp_path: Path, secret_keys: np.ndarray) -> Iterator[RunningChain]:
    with running_chain(tmp_path, secret_keys, nodes=NODES) as chain:
        yield chain


async def test_one_node_of_three_is_enough(nodes: RunningChain, secret_keys: np.ndarray, spec: Any) -> None:
    """One is away, one answers a minute late: the duties of a slot are done as if there were no others."""
    async with DutiesClient([DEAD, *nodes.urls[:2]], expected=TESTNET, **PATIENT) as client:
        await client.learn()
        await nodes.suffer(0, delay_seconds=LATE_SECONDS)
        validators = Validators(client, spec, secret_keys)
        began = time.monotonic()
        await nodes.go_to(1)
        await validators.perform(1)
        assert time.monotonic() - began < LATE_SECONDS / 2
    report = await nodes.report()
    assert report["head_slot"] == 1
    assert report["refused"] == []
    assert set(report["verdicts"]) == {"aggregate", "attestation", "block", "contribution", "sync message"}


async def test_fallbacks_are_asked_when_the_others_fail(nodes: RunningChain) -> None:
    first, second, behind = nodes.urls
    async with DutiesClient([first, second], fallbacks=[behind], expected=TESTNET, **PATIENT) as client:
        await client.learn()
        await nodes.suffer(0, is_down=True)
        await nodes.suffer(1, is_down=True)
        await nodes.go_to(1)
        assert (await client.attestation_data(1)).slot == 1
        healths = await client.health()
        assert [bool(health.problem) for health in healths] == [True, True, False]
        assert "HTTP 503: down" in healths[0].problem
        await nodes.suffer(2, is_down=True)
        with pytest.raises(BeaconError) as caught:
            await client.attestation_data(1)
        assert all(f":{url.rpartition(':')[2]}: " in str(caught.value) for url in nodes.urls)


async def test_a_node_that_lies_of_the_chain_is_left_out(nodes: RunningChain) -> None:
    """Two say one thing, the third another; what it says later does not count, also when it is right."""
    await nodes.suffer(0, lies=["genesis"])
    async with DutiesClient(nodes.urls, expected=TESTNET, **PATIENT) as client:
        await client.learn()
        await nodes.suffer(1, is_down=True)
        await nodes.suffer(2, is_down=True)
        await nodes.go_to(1)
        with pytest.raises(BeaconError, match="expected the chain that the other nodes are on"):
            await client.attestation_data(1)
        await nodes.suffer(0)
        with pytest.raises(BeaconError, match="another one of the same network"):
            await client.attestation_data(1)


async def test_as_many_liars_as_others_are_an_error(nodes: RunningChain) -> None:
    await nodes.suffer(0, lies=["genesis"])
    async with DutiesClient(nodes.urls[:2], expected=TESTNET, **PATIENT) as client:
        with pytest.raises(BeaconError, match="expected nodes of one chain, got as many of another"):
            await client.learn()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (ExpectedChain("hoodi", b"\x10\x00\x09\x11"), "genesis fork version 0x10000911, got 0x10000910"),
        (ExpectedChain("testnet", TESTNET.genesis_fork_version, genesis_time=5), "genesis time 5, got 17"),
        (ExpectedChain("testnet", TESTNET.genesis_fork_version, chain_id=1), "chain 1, got 560048"),
        (
            ExpectedChain("testnet", TESTNET.genesis_fork_version, capella_fork_version=b"\x03\x00\x00\x00"),
            "Capella fork version 0x03000000, got 0x40000910",
        ),
    ],
)
async def test_nodes_of_another_network_are_told_of(
    still_chain: RunningChain, wanted: ExpectedChain, said: str
) -> None:
    async with DutiesClient(still_chain.urls, expected=wanted, **PATIENT) as client:
        with pytest.raises(BeaconError, match=said):
            await client.learn()


async def test_duties_that_no_committee_has_are_not_believed(nodes: RunningChain) -> None:
    """A node that lies of duties is passed over, and named where there is no other."""
    await nodes.suffer(0, lies=["duties"])
    async with DutiesClient(nodes.urls[:2], expected=TESTNET, **PATIENT) as client:
        await client.learn()
        for _ in range(5):
            duties = (await client.attester_duties(0, range(64))).duties
            assert all(duty.committee_index < duty.committees_at_slot for duty in duties)
            assert sorted(duty.validator_index for duty in duties) == list(range(64))
    async with DutiesClient(nodes.urls[:1], expected=TESTNET, **PATIENT) as client:
        await client.learn()
        with pytest.raises(BeaconError, match="expected a place in a committee"):
            await client.attester_duties(0, range(64))


async def test_a_fast_liar_is_outvoted(nodes: RunningChain) -> None:
    """Of three nodes the fastest lies: what the two others say counts; of two it is what comes first."""
    async with DutiesClient(nodes.urls, expected=TESTNET, **PATIENT) as client:
        await client.learn()
        await nodes.go_to(1)
        right, head = await client.attestation_data(1), await client.head_root()
        assert await client.block_header(head) == BlockHeader(0, bytes(32))
        assert await client.block_header(bytes(32)) is None
        await nodes.suffer(0, lies=["attestation data", "head"])
        for other in (1, 2):
            await nodes.suffer(other, delay_seconds=0.05)
        for _ in range(3):
            assert await client.attestation_data(1) == right
            assert await client.head_root() == head
        await nodes.suffer(1, is_down=True)
        await nodes.suffer(2, delay_seconds=LATE_SECONDS)
        assert (await client.attestation_data(1)).beacon_block_root != right.beacon_block_root


async def test_a_reorganisation_is_told_and_forgotten_duties_are_asked_for_again(
    nodes: RunningChain, secret_keys: np.ndarray, spec: Any
) -> None:
    """A block that nobody votes for is overtaken by the one of a node that has not seen it."""
    async with (
        DutiesClient(nodes.urls[:1], expected=TESTNET, **PATIENT) as client,
        DutiesClient(nodes.urls[1:2], expected=TESTNET, **PATIENT) as behind,
    ):
        await client.learn()
        await behind.learn()
        validators, others = (Validators(each, spec, secret_keys) for each in (client, behind))
        events = client.events(["head", "chain_reorg", "block"])
        told = asyncio.ensure_future(_until(events, "chain_reorg"))
        slot = 1
        while not told.done():  # the first block is told only when somebody listens
            await nodes.go_to(slot)
            await validators.propose(slot)
            await nodes.suffer(1, lag_slots=2)
            await nodes.go_to(slot + 1)
            await others.propose(slot + 1)
            slot += 2
            await asyncio.wait([told], timeout=0.2)
        reorganised = await told
        assert reorganised["depth"] == "1"
        report = await nodes.report()
        assert report["blocks"]["orphaned"]

        cache = DutyCache(client, range(64))
        before = await cache.attesters(0)
        assert await cache.attesters(0) is before
        root = f"0x{before.dependent_root.hex()}"
        head = {"slot": "1", "previous_duty_dependent_root": root, "current_duty_dependent_root": root}
        assert cache.saw_head(head) == set()
        assert cache.saw_head({"slot": "x"}) == cache.saw_head({}) == set()
        assert cache.saw_head(head | {"previous_duty_dependent_root": "0x" + "11" * 32}) == {0}
        assert await cache.attesters(0) is not before


async def _until(events: Any, topic: str) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in events:
            if event.topic == topic:
                await events.aclose()
                return event.data


async def test_the_chain_refuses_what_a_node_lied_of(chain: RunningChain, validators: Validators) -> None:
    """Who signs what a lying node has made up has no block and no vote in the chain, and is told why."""
    client, slot = validators.client, 1
    await chain.go_to(slot)
    await chain.suffer(lies=["attestation data", "block", "head"])
    with pytest.raises(BeaconError, match=r"state_transition: assert block\.state_root"):
        await validators.propose(slot)
    with pytest.raises(BeaconError, match="block being voted for has not been seen"):
        await validators.attest(slot)
    await validators.send_sync_messages(slot)  # nobody can tell whether there is such a block
    await chain.suffer()
    assert await client.head_root() != bytes(32)
    await chain.go_to(slot + 1)
    await validators.propose(slot + 1)
    await chain.go_to(slot + 2)
    report = await chain.report()
    assert (report["head_slot"], report["sync_participation"]["included"]) == (slot + 1, 0)
    assert [each["slot"] for each in report["blocks"]["missed"]] == [slot]
