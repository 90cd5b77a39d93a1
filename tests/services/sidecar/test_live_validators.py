"""With a beacon node, the exits of live validators are not signed by the way."""

from __future__ import annotations

import json

import pytest

from dvtfast import HOODI
from dvtfast.services import wire
from dvtfast.services.chain.beacon.client import BeaconClient, BeaconError
from dvtfast.services.sidecar.signing import live_validators as live_module
from dvtfast.services.sidecar.signing.deposit_policy import DepositPolicy
from dvtfast.services.sidecar.signing.live_validators import LiveValidators
from tests.services.patience import ANSWER_SECONDS

from ..chain.beacon.beacon_nodes import BeaconState, beacon_with
from ..conftest import make_cluster
from ..relayer.test_register import VAULT
from ..sidecars import signing_node
from .test_deposits import item


@pytest.mark.parametrize("may_rotate", [False, True])
async def test_exits_of_live_validators(may_rotate: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are signed with --allow-rotation only, and at their own index; deposits of them never."""
    monkeypatch.setattr(live_module, "ABSENT_SECONDS", 0.0)
    cluster = make_cluster(3)
    state = BeaconState(count=100, keys={bytes(cluster.keys[0]): 70})
    policy = DepositPolicy(frozenset({VAULT}))
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
        signing_node(cluster, policy=policy, live=LiveValidators(beacon, HOODI, may_rotate=may_rotate)) as (
            node,
            signing,
        ),
    ):
        exits = [wire.ExitWanted(key, wire.UInt64(70)) for key in cluster.keys]
        exits.append(wire.ExitWanted(cluster.keys[0], wire.UInt64(71)))
        admitted = await signing.admit_exits(node, "a", exits)
        assert list(admitted.items) == (exits[:3] if may_rotate else exits[1:3])
        reasons = await signing.refusals_of_exits(node, "a", exits)
        assert [bool(reason) for reason in reasons] == [not may_rotate, False, False, True]
        validators = [
            wire.decode(json.dumps(item(cluster, row)).encode(), wire.ValidatorWanted) for row in (0, 1)
        ]
        assert list((await signing.admit_validators(node, "a", validators)).items) == validators[1:]
        # One that becomes live is noticed.
        state.keys[bytes(cluster.keys[1])] = 71
        assert (await signing.refusals_of_exits(node, "a", exits))[1] != ""


async def test_without_an_answer_nothing_is_signed() -> None:
    """It comes again later; what was found live stays known."""
    cluster = make_cluster(2)
    state = BeaconState(count=100, keys={bytes(cluster.keys[0]): 70})
    exits = [wire.ExitWanted(key, wire.UInt64(70)) for key in cluster.keys]
    async with (
        beacon_with(state) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
    ):
        live = LiveValidators(beacon, HOODI, may_rotate=False)
        async with signing_node(cluster, live=live) as (node, signing):
            assert len((await signing.admit_exits(node, "a", exits)).items) == 1
            asked = len(state.requests)
            assert len((await signing.admit_exits(node, "a", exits)).items) == 1
            assert len(state.requests) == asked
    async with BeaconClient(["http://127.0.0.1:1"], timeout_seconds=1, network=HOODI) as beacon:
        live = LiveValidators(beacon, HOODI, may_rotate=True)
        async with signing_node(cluster, live=live) as (node, signing):
            with pytest.raises(BeaconError):
                await signing.admit_exits(node, "a", exits)


async def test_a_node_that_is_behind_is_not_heard() -> None:
    """It knows of no new validators, so all would seem to be none."""
    cluster = make_cluster(1)
    async with (
        beacon_with(BeaconState(age_slots=300)) as url,
        BeaconClient([url], timeout_seconds=ANSWER_SECONDS, network=HOODI) as beacon,
        signing_node(cluster, live=LiveValidators(beacon, HOODI, may_rotate=True)) as (
            node,
            signing,
        ),
    ):
        with pytest.raises(BeaconError, match="behind"):
            await signing.admit_exits(node, "a", [wire.ExitWanted(cluster.keys[0], wire.UInt64(70))])
