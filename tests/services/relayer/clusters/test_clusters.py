"""Which clusters are served: files of both kinds, side by side, and what is refused at start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dvtfast import HOODI, MAINNET
from dvtfast.obol import build_cluster_lock, write_cluster_lock
from dvtfast.services.relayer.clusters.served import ClustersError, ServedClusters, read_clusters
from dvtfast.services.settings.parsing import NamedFile
from tests.vector_files import VECTORS

from ...conftest import START_INDEX, Cluster, Start, make_cluster

KEYSHARES = VECTORS / "ssv" / "keyshares.json"


def write_lock(path: Path, cluster: Cluster) -> NamedFile:
    lock = build_cluster_lock(
        cluster.secret_keys,
        cluster.key_shares,
        threshold=cluster.shares.threshold,
        network=HOODI,
        node_secret_keys=[bytes([i]) * 32 for i in range(1, cluster.key_shares.shape[1] + 1)],
        withdrawal_address=bytes(20),
        fee_recipient=bytes(20),
        name=cluster.shares.name,
    )
    write_cluster_lock(path, lock)
    return NamedFile(path)


def test_locks_and_keyshares_side_by_side(tmp_path: Path) -> None:
    cluster = make_cluster(2, name="from the lock")
    lock = write_lock(tmp_path / "lock.json", cluster)
    clusters = read_clusters([lock], [NamedFile(KEYSHARES, "mine")], HOODI)
    served = ServedClusters(clusters, signature_threshold=None)
    group = served.group_of(cluster.keys[0])
    assert group is not None
    assert (group.name, group.threshold, group.has(4), group.has(5)) == ("from the lock", 3, True, False)
    ssv = clusters[1]
    group = served.group_of(ssv.public_keys.encoded[0].tobytes())
    assert group is not None
    assert group.name.startswith("mine")
    assert group.threshold == (2 * len(ssv.share_indices) + 1) // 3
    assert all(group.has(int(index)) for index in ssv.share_indices)
    assert served.group_of(bytes(48)) is None


def test_names_come_from_the_user_first(tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "lock.json", make_cluster(1))
    (cluster,) = read_clusters([NamedFile(lock.path, "ours")], [], HOODI)
    assert cluster.name == "ours"


def test_a_key_in_two_clusters_is_refused() -> None:
    one, two = make_cluster(2, name="one"), make_cluster(2, name="two")
    with pytest.raises(ClustersError, match="2 clusters are called 'one'"):
        ServedClusters([one.shares, two.shares, one.shares], signature_threshold=None)
    copy = replace(one.shares, name="copy")
    with pytest.raises(ClustersError, match=r"2 validators of 'copy' are in \['one'\] too, such as 0x"):
        ServedClusters([one.shares, copy], signature_threshold=None)


def test_every_problem_is_told(tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "lock.json", make_cluster(1))
    junk = tmp_path / "junk.json"
    junk.write_text("[")
    with pytest.raises(ClustersError) as caught:
        read_clusters([lock, NamedFile(junk)], [NamedFile(junk)], MAINNET)
    assert len(caught.value.problems) == 3
    assert "hoodi, not mainnet" in caught.value.problems[0]


async def test_clusters_of_different_thresholds_in_one_relayer(start: Start) -> None:
    small = make_cluster(2, threshold=2, share_indices=[1, 2, 3], name="small")
    large = make_cluster(2, threshold=5, share_indices=[9, 4, 2**64 - 1, 7, 2**63, 11, 12], name="large")
    async with start(small, large) as relayer:
        await relayer.ask(small)
        await relayer.ask(large)
        await relayer.fill(small, range(START_INDEX, START_INDEX + 2), 1, 3)
        await relayer.fill(large, range(START_INDEX + 2, START_INDEX + 4), 2**64 - 1, 9, 12, 2**63)
        await relayer.until_ready(small)
        assert not (await relayer.ask(large)).ready
        await relayer.fill(large, range(START_INDEX + 2, START_INDEX + 4), 7)
        await relayer.until_ready(large)
        exits = await relayer.exits()
        assert exits[large.keys[0]].share_indexes_ready == [7, 9, 12, 2**63, 2**64 - 1]


def test_a_name_that_is_a_lock_hash_is_refused() -> None:
    """Tokens name a cluster by either, so one could be bound to a cluster that somebody else made."""
    one = replace(make_cluster(1, name="one").shares, lock_hash=bytes([0xAB]) * 32)
    for name in ("0x" + "ab" * 32, "AB" * 32, "0x" + "cd" * 32):
        like = make_cluster(1, name=name).shares
        for order in ([one, like], [like, one]):
            with pytest.raises(ClustersError, match="which is the lock hash of another, it has none"):
                ServedClusters(order, signature_threshold=None)
        other = replace(like, lock_hash=bytes([0xEF]) * 32)
        with pytest.raises(ClustersError, match="its own is 0xefef"):
            ServedClusters([one, other], signature_threshold=None)
    own = replace(one, name="0x" + "ab" * 32)
    assert ServedClusters([own], signature_threshold=None).group_named(own.name)


def test_a_lock_hash_is_of_one_cluster() -> None:
    one = replace(make_cluster(1, name="one").shares, lock_hash=bytes([0xAB]) * 32)
    two = replace(make_cluster(1, name="two").shares, lock_hash=bytes([0xAB]) * 32)
    with pytest.raises(ClustersError, match="'two' has the lock hash of another cluster, 0xabab"):
        ServedClusters([one, two], signature_threshold=None)
