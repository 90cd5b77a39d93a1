"""POST /exit-signature: what is stored, what is rejected and why, and what bad shares do."""

from __future__ import annotations

import numpy as np
import pytest
from structlog.testing import capture_logs

from dvtfast import check_signature_encodings, generate_secret_keys, sign
from dvtfast.services import wire

from ..conftest import START_INDEX, Cluster, Start, make_cluster


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


INDICES = range(START_INDEX, START_INDEX + 3)


def wrong(shares: list[wire.ExitShare]) -> list[wire.ExitShare]:
    """Valid points that are no signature by anybody known."""
    points = sign(generate_secret_keys(len(shares)), np.zeros((len(shares), 32), np.uint8))
    return [
        wire.ExitShare(share.public_key, wire.Signature(point.tobytes()), share.validator_index)
        for share, point in zip(shares, points, strict=True)
    ]


async def test_an_equal_share_is_stored_and_another_one_is_not(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        shares = cluster.exit_shares(1, INDICES)
        assert await relayer.post(1, shares) == []
        assert await relayer.post(1, shares) == []
        rejected = await relayer.post(1, wrong(shares))
        assert [r.public_key for r in rejected] == [key.to_wire() for key in cluster.keys]
        assert "not judged yet" in rejected[0].reason


async def test_the_same_share_twice_in_one_request(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        share = cluster.exit_shares(1, [START_INDEX])[0]
        assert await relayer.post(1, [share, share]) == []
        assert len(await relayer.post(1, [share, *wrong([share])])) == 1
        exits = await relayer.exits()
        assert exits[share.public_key].share_indexes_ready == [1]


async def test_unknown_keys_are_named_and_the_others_stored(start: Start) -> None:
    cluster, stranger = make_cluster(), make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        rejected = await relayer.post(
            1, [*stranger.exit_shares(1, [START_INDEX]), *cluster.exit_shares(1, INDICES)]
        )
        assert [r.public_key for r in rejected] == [stranger.keys[0].to_wire()]
        assert "no cluster" in rejected[0].reason
        assert all(exit_.share_indexes_ready == [1] for exit_ in (await relayer.exits()).values())


async def test_a_key_of_the_cluster_that_nobody_asked_for(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        rejected = await relayer.post(1, cluster.exit_shares(1, INDICES))
        assert len(rejected) == 3
        assert "nobody asked" in rejected[0].reason


async def test_an_index_that_nobody_asked_for(start: Start) -> None:
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        (rejected,) = await relayer.post(1, cluster.exit_shares(1, [5], named=True))
        assert rejected.reason == "nobody asked for an exit at validator index 5"


async def test_a_share_index_outside_the_cluster(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        rejected = await relayer.post(5, cluster.exit_shares(1, INDICES))
        assert len(rejected) == 3
        assert "share index 5 is not one of the cluster" in rejected[0].reason


async def test_one_bad_node_is_named_and_stops_nobody(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        bad = wrong(cluster.exit_shares(2, INDICES))
        assert await relayer.post(2, bad) == []
        await relayer.post(1, cluster.exit_shares(1, INDICES))
        await relayer.post(4, cluster.exit_shares(4, INDICES))
        exits = await relayer.until(lambda exits: all(e.share_indexes_rejected for e in exits.values()))
        assert all(e.share_indexes_rejected == [2] for e in exits.values())
        assert all(e.share_indexes_ready == [1, 4] for e in exits.values())
        assert not any(e.is_exit_signature_ready for e in exits.values())
        assert "found not to fit" in (await relayer.post(2, bad))[0].reason  # the very same again
        assert await relayer.post(2, cluster.exit_shares(2, INDICES)) == []  # the right one replaces it
        await relayer.until_ready(cluster)
        assert all(e.share_indexes_rejected == [] for e in (await relayer.exits()).values())


async def test_the_round_goes_on_without_the_bad_node(start: Start) -> None:
    cluster = make_cluster()
    with capture_logs() as lines:
        await round_with_a_bad_node(start, cluster)
    batches = [line for line in lines if line["event"] == "batch"]
    assert [sum(batch[count] for batch in batches) for count in ("ready", "bad_shares")] == [3, 3]
    (bad,) = (line for line in lines if line["event"] == "bad shares")
    assert (bad["share_index"], bad["count"]) == (2, 3)
    assert sorted(bad["validators"]) == sorted(key.to_wire() for key in cluster.keys)


async def round_with_a_bad_node(start: Start, cluster: Cluster) -> None:
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2, wrong(cluster.exit_shares(2, INDICES)))
        await relayer.fill(cluster, INDICES, 1, 3, 4)
        await relayer.until_ready(cluster)
        assert all(e.share_indexes_rejected == [2] for e in (await relayer.exits()).values())


async def test_only_the_validator_with_a_bad_share_waits(start: Start) -> None:
    cluster = make_cluster(8)
    indices = range(START_INDEX, START_INDEX + 8)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        mixed = cluster.exit_shares(1, indices)
        mixed[5:6] = wrong(mixed[5:6])
        await relayer.post(1, mixed)
        await relayer.fill(cluster, indices, 2, 3)
        exits = await relayer.until(lambda e: any(x.share_indexes_rejected for x in e.values()))
        waiting = [row for row, key in enumerate(cluster.keys) if not exits[key].is_exit_signature_ready]
        assert waiting == [5]
        assert exits[cluster.keys[5]].share_indexes_rejected == [1]


@pytest.mark.parametrize(
    "trick", ["swapped validators", "same share under two indices", "signed for another index"]
)
async def test_right_signatures_in_the_wrong_place(start: Start, trick: str) -> None:
    cluster = make_cluster()
    match trick:
        case "swapped validators":
            shares = cluster.exit_shares(2, INDICES)
            rotated = [*shares[1:], shares[0]]
            shares = [
                wire.ExitShare(s.public_key, other.exit_signature)
                for s, other in zip(shares, rotated, strict=True)
            ]
        case "same share under two indices":
            shares = cluster.exit_shares(2, INDICES, signer=1)
        case _:
            shares = cluster.exit_shares(2, [index + 1 for index in INDICES])
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.post(2, shares)
        await relayer.fill(cluster, INDICES, 1, 3)
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
        assert all(e.share_indexes_rejected == [2] for e in exits.values())
        await relayer.post(4, cluster.exit_shares(4, INDICES))
        await relayer.until_ready(cluster)


async def test_equal_and_opposite_points(start: Start) -> None:
    """A share and its negative: their sum is infinity, which must not upset anybody."""
    cluster = make_cluster(1)
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        share = cluster.exit_shares(1, [START_INDEX])[0]
        negated = bytes([share.exit_signature[0] ^ 0x20]) + share.exit_signature[1:]
        for share_index in (2, 3):
            point = share.exit_signature if share_index == 2 else negated
            await relayer.post(share_index, [wire.ExitShare(share.public_key, wire.Signature(point))])
        await relayer.post(1, [share])
        exits = await relayer.until(lambda e: all(x.share_indexes_rejected for x in e.values()))
        assert exits[share.public_key].share_indexes_rejected == [2, 3]


async def test_a_ready_validator_needs_no_more(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        before = await relayer.until_ready(cluster)
        for share_index in (1, 2, 4):
            assert await relayer.post(share_index, wrong(cluster.exit_shares(share_index, INDICES))) == []
        assert await relayer.ask(cluster) == before
        assert await relayer.ask(cluster) == before


async def test_more_shares_never_change_what_was_served(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        await relayer.fill(cluster, INDICES, 1, 2, 3)
        before = await relayer.until_ready(cluster)
        await relayer.post(4, cluster.exit_shares(4, INDICES))
        assert await relayer.ask(cluster) == before
        assert all(e.share_indexes_ready == [1, 2, 3, 4] for e in (await relayer.exits()).values())


def off_subgroup() -> wire.Signature:
    """A point of the curve outside G2; among small x every second one is on the curve, none in G2."""
    for x in range(1, 100):
        point = b"\x80" + bytes(94) + bytes([x])
        if check_signature_encodings(point, subgroup=False) and not check_signature_encodings(point):
            return wire.Signature(point)
    raise AssertionError


class TestUnknownKeyShares:
    """--signature-threshold: validators of no named cluster."""

    async def test_a_round(self, start: Start) -> None:
        cluster = make_cluster()
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES, 1, 2, 4)
            await relayer.until_ready(cluster)

    async def test_without_it_they_are_refused_by_name(self, start: Start) -> None:
        named, other = make_cluster(), make_cluster(1)
        async with start(named) as relayer:
            body = wire.encode(wire.ValidatorsRequest([*named.keys, *other.keys]))
            status, answer = await relayer.raw("POST", "/validators", body)
            assert status == 422
            assert answer["field"] == "public_keys[3]"
            assert answer["rejected"] == [
                {
                    "public_key": other.keys[0].to_wire(),
                    "reason": "no cluster of this relayer has this validator",
                }
            ]
            assert await relayer.exits() == {}

    async def test_beside_a_named_cluster_with_another_threshold(self, start: Start) -> None:
        named = make_cluster(2, threshold=2, share_indices=[7, 2**64 - 1, 2**63])
        other = make_cluster(2)
        async with start(named, signature_threshold=3) as relayer:
            await relayer.ask(named)
            await relayer.ask(other)
            await relayer.fill(named, range(START_INDEX, START_INDEX + 2), 2**64 - 1, 2**63)
            await relayer.fill(other, range(START_INDEX + 2, START_INDEX + 4), 1, 2)
            await relayer.until_ready(named)
            assert not (await relayer.ask(other)).ready
            await relayer.fill(other, range(START_INDEX + 2, START_INDEX + 4), 3)
            await relayer.until_ready(other)

    async def test_a_culprit_is_known_when_one_share_more_is_there(self, start: Start) -> None:
        cluster = make_cluster()
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            await relayer.post(1, wrong(cluster.exit_shares(1, INDICES)))
            await relayer.fill(cluster, INDICES, 2, 3)
            assert not (await relayer.ask(cluster)).ready
            await relayer.fill(cluster, INDICES, 4)
            await relayer.until_ready(cluster)
            exits = await relayer.exits()
            assert all(e.share_indexes_rejected == [1] for e in exits.values())

    @pytest.mark.parametrize(("share_indices", "wrong_ones"), [([1, 2, 3], [1]), ([1, 2, 3, 4], [1, 2])])
    async def test_whoever_was_wrong_can_mend_it(
        self, start: Start, share_indices: list[int], wrong_ones: list[int]
    ) -> None:
        """Nobody can tell which shares are wrong, so all nodes are asked again."""
        cluster = make_cluster(share_indices=share_indices)
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            for share_index in share_indices:
                shares = cluster.exit_shares(share_index, INDICES)
                await relayer.post(share_index, wrong(shares) if share_index in wrong_ones else shares)
            exits = await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            assert all(e.share_indexes_rejected == [] for e in exits.values())
        async with start(signature_threshold=3) as relayer:
            await relayer.until(lambda e: all(x.share_indexes_ready == [] for x in e.values()))
            await relayer.fill(cluster, INDICES, *share_indices[-2:])
            assert all(e.share_indexes_ready == [] for e in (await relayer.exits()).values())
            await relayer.fill(cluster, INDICES, 1)
            await relayer.until_ready(cluster)

    async def test_share_indices_are_bounded(self, start: Start) -> None:
        cluster = make_cluster(1, threshold=33, share_indices=range(1, 35))
        async with start(signature_threshold=32) as relayer:
            await relayer.ask(cluster)
            indices = range(START_INDEX, START_INDEX + 1)
            for share_index in range(1, 32):
                assert await relayer.post(share_index, cluster.exit_shares(share_index, indices)) == []
            assert await relayer.post(2**64 - 1, cluster.exit_shares(32, indices)) == []
            (rejected,) = await relayer.post(33, cluster.exit_shares(33, indices))
            assert rejected.reason == "at most 32 share indices are kept for this validator"

    async def test_a_ready_validator_has_no_bound(self, start: Start) -> None:
        cluster = make_cluster(1, threshold=2, share_indices=range(1, 34))
        async with start(signature_threshold=2) as relayer:
            await relayer.ask(cluster)
            await relayer.fill(cluster, INDICES[:1], *range(1, 33))
            await relayer.until_ready(cluster)
            await relayer.fill(cluster, INDICES[:1], 33)

    async def test_rejected_shares_make_room(self, start: Start) -> None:
        cluster = make_cluster(1, share_indices=[41, 42, 43])
        async with start(signature_threshold=3) as relayer:
            await relayer.ask(cluster)
            for share_index in range(1, 33):
                assert (
                    await relayer.post(share_index, [wire.ExitShare(cluster.keys[0], off_subgroup())]) == []
                )
            exits = await relayer.until(lambda e: len(e[cluster.keys[0]].share_indexes_rejected) >= 30)
            await relayer.fill(cluster, INDICES[:1], 41, 42, 43)
            await relayer.until_ready(cluster)
            rejected = exits[cluster.keys[0]].share_indexes_rejected
            left = (await relayer.exits())[cluster.keys[0]].share_indexes_rejected
            assert set(rejected) - set(left) == {1, 2, 3}  # the oldest

    async def test_a_key_that_is_no_point(self, start: Start) -> None:
        async with start(signature_threshold=3) as relayer:
            status, answer = await relayer.raw(
                "POST", "/validators", b'{"public_keys":["%s"]}' % (b"ab" * 48)
            )
            assert (status, answer["field"]) == (422, "public_keys[0]")
            infinity = b"c0" + b"00" * 47
            status, answer = await relayer.raw("POST", "/validators", b'{"public_keys":["%s"]}' % infinity)
            assert (status, answer["field"]) == (422, "public_keys[0]")


async def test_undecodable_points_are_malformed(start: Start) -> None:
    cluster = make_cluster()
    async with start(cluster) as relayer:
        await relayer.ask(cluster)
        shares = cluster.exit_shares(1, INDICES)
        infinity = wire.Signature(b"\xc0" + bytes(95))
        off_curve = wire.Signature(b"\x80" + bytes(94) + b"\x01")
        bad = [wire.ExitShare(cluster.keys[0], infinity), wire.ExitShare(cluster.keys[1], off_curve)]
        rejected = await relayer.post(1, [*bad, shares[2]])
        assert [r.reason.partition(":")[0] for r in rejected] == [
            "shares[0].exit_signature",
            "shares[1].exit_signature",
        ]
        body = wire.encode(wire.ExitSignatureRequest(wire.ShareIndex(1), bad))
        status, answer = await relayer.raw("POST", "/exit-signature", body)
        assert (status, answer["field"], len(answer["rejected"])) == (422, "shares", 2)
