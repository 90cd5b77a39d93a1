"""Whose validators a vault gets: those of its clusters and of the caller's, and not too many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dvtfast import HOODI
from dvtfast.services import wire
from dvtfast.services.relayer.access import vaults as vaults_
from dvtfast.services.relayer.access.caller import Caller
from dvtfast.services.relayer.access.vaults import Vaults
from dvtfast.services.relayer.app import read_configuration
from dvtfast.services.relayer.clusters.served import ClustersError, ServedClusters
from dvtfast.services.settings import RelayerSettings, SettingsError
from dvtfast.services.settings.parsing import VaultCluster

from ...access import EVERYTHING, READ_ONLY, bearer, operator, tokens_of
from ...conftest import START_INDEX, Cluster, Relayer, Start, each_database, make_cluster
from ..clusters.test_clusters import write_lock
from ..test_register import ETH, OTHER_VAULT, VAULT, VAULTS, body_of, wanted_of
from .test_access import send

__all__ = ["each_database"]

A, B = "cluster-a", "cluster-b"
BOUND = (VaultCluster(VAULT, A), VaultCluster(OTHER_VAULT, B))


@pytest.fixture
def database_url(each_database: str) -> str:
    return each_database


async def register(
    relayer: Relayer,
    headers: dict[str, str],
    count: int,
    vault: wire.Address = VAULT,
    index: int = START_INDEX,
) -> tuple[int, Any]:
    body = body_of(index=index, amounts=[32 * ETH] * count, vault=vault)
    status, answer, _ = await send(relayer, "POST", "/register", body, headers)
    return status, answer


@pytest.mark.parametrize(
    ("names", "settings", "why"),
    [
        ((), {"vaults": VAULTS, "signature_threshold": 2}, vaults_.NO_KEYS),
        ((A,), {"vaults": VAULTS, "signature_threshold": 2}, None),
        ((A,), {"vaults": VAULTS, "vault_clusters": BOUND[:1]}, None),  # one of two vaults has some
        ((), {"signature_threshold": 2}, None),  # for operators of v3
    ],
)
async def test_readiness_says_when_nothing_can_be_registered(
    start: Start, names: tuple[str, ...], settings: dict[str, Any], why: str | None
) -> None:
    clusters = [make_cluster(1, name=name) for name in names]
    with capture_logs() as lines:
        async with start(*clusters, **settings) as relayer:
            problems = [] if why is None else [why]
            assert await relayer.raw("GET", "/readyz") == (
                503 if problems else 200,
                {"ok": not problems, "problems": problems},
            )
            if why is not None:
                _, answer = await register(relayer, {}, 1)
                assert why in str(answer)
    warned = [
        line["vaults"] for line in lines if line["event"] == "no validator can be registered for a vault"
    ]
    if "vault_clusters" in settings:
        assert warned == [OTHER_VAULT.to_wire()]
    else:
        assert bool(warned) == (why is not None)


async def reserved(relayer: Relayer, headers: dict[str, str], vault: wire.Address) -> list[str]:
    """The validators that are to be signed for a vault."""
    _, answer, _ = await send(relayer, "GET", "/validators", None, headers)
    mine = [item for item in answer["validators"] if item["vault"] == vault.to_wire()]
    return [item["public_key"] for item in sorted(mine, key=lambda item: int(item["validator_index"]))]


def keys_of(cluster: Cluster) -> list[str]:
    return [key.to_wire() for key in cluster.keys]


@pytest.mark.parametrize("bound", [(), BOUND])
async def test_a_vault_gets_validators_of_its_tokens_clusters_only(
    start: Start, database_url: str, bound: tuple[VaultCluster, ...]
) -> None:
    a, b = make_cluster(2, name=A), make_cluster(2, name=B)
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(operator(VAULT, clusters=(A,))))
        others = bearer(await tokens.make(operator(OTHER_VAULT, clusters=(B,))))
        looks = bearer(await tokens.make(READ_ONLY))
        async with start(a, b, vaults=VAULTS, vault_clusters=bound) as relayer:
            assert (await register(relayer, mine, 4))[0] == 200  # as many as both have
            assert await reserved(relayer, looks, VAULT) == keys_of(a)
            assert (await register(relayer, others, 4, OTHER_VAULT, START_INDEX + 9))[0] == 200
            assert await reserved(relayer, looks, OTHER_VAULT) == keys_of(b)
            assert (await register(relayer, mine, 4))[0] == 200
            assert await reserved(relayer, looks, VAULT) == keys_of(a)


async def test_the_settings_bind_a_vault_whoever_calls(start: Start, database_url: str) -> None:
    a, b = make_cluster(2, name=A), make_cluster(2, name=B)
    async with start(a, b, vaults=VAULTS, vault_clusters=BOUND[1:]) as relayer:
        assert (await register(relayer, {}, 4, OTHER_VAULT))[0] == 200
        assert (await register(relayer, {}, 4, VAULT, START_INDEX + 9))[0] == 200  # what is left
        assert [item["public_key"] for item in await wanted_of(relayer, OTHER_VAULT)] == keys_of(b)
        assert [item["public_key"] for item in await wanted_of(relayer, VAULT)] == keys_of(a)


async def test_a_token_that_names_no_cluster(start: Start, database_url: str) -> None:
    """It is for its vault's, unless nothing says which these are."""
    a, b = make_cluster(2, name=A), make_cluster(2, name=B)
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(operator(VAULT)))
        everything = bearer(await tokens.make(EVERYTHING))
        for clusters, others in (
            ((a,), {"vaults": VAULTS}),
            ((a, b), {"vaults": (VAULT,)}),
            ((a, b), {"vaults": VAULTS, "vault_clusters": BOUND}),
            ((a, b), {"vaults": VAULTS, "vault_clusters": BOUND[:1]}),
            ((a, b), {"vaults": VAULTS, "vault_clusters": BOUND[1:]}),
        ):
            with capture_logs() as lines:
                async with start(*clusters, **others) as relayer:
                    assert (await register(relayer, mine, 2))[0] == 200
            assert not [line for line in lines if "which clusters" in line["event"]]
        with capture_logs() as lines:
            async with start(a, b, vaults=VAULTS) as relayer:
                status, answer = await register(relayer, mine, 2)
                assert (status, answer["field"]) == (403, "vault")
                assert "--vault-cluster" in answer["error"]
                assert (await register(relayer, everything, 2))[0] == 200
        (line,) = [line for line in lines if "which clusters" in line["event"]]
        assert VAULT.to_wire() in line["vaults"]


async def test_a_token_of_other_clusters(start: Start, database_url: str) -> None:
    a, b = make_cluster(2, name=A), make_cluster(2, name=B)
    async with tokens_of(database_url) as tokens:
        for clusters in ((B,), ("unknown",)):
            mine = bearer(await tokens.make(operator(VAULT, clusters=clusters)))
            async with start(a, b, vaults=VAULTS, vault_clusters=BOUND) as relayer:
                status, answer = await register(relayer, mine, 1)
                assert (status, answer["field"]) == (403, "vault")
                assert vaults_.NOT_YOUR_CLUSTERS in answer["error"]


@pytest.mark.parametrize("path", ["/fund", "/withdraw", "/consolidate", "/rotate"])
async def test_nothing_is_done_to_validators_of_other_clusters(
    start: Start, database_url: str, path: str, manager_key: Any
) -> None:
    a, b = make_cluster(1, name=A), make_cluster(1, name=B)
    keys = [a.keys[0].to_wire(), b.keys[0].to_wire()]
    bodies: dict[str, dict[str, Any]] = {
        "/fund": {"public_keys": keys, "amounts": [ETH, ETH]},
        "/withdraw": {"public_keys": keys, "amounts": [0, 0]},
        "/consolidate": {"source_public_keys": keys, "target_public_keys": keys[:1] * 2},
        "/rotate": {"validators": [{"public_key": key, "validator_index": 5} for key in keys]},
    }
    fields = {"/consolidate": "source_public_keys[1]", "/rotate": "validators[1].public_key"}
    others = {"execution_endpoints": ("http://127.0.0.1:9",), "manager_key": manager_key}
    body = bodies[path] | {"vault": VAULT.to_wire()}
    async with tokens_of(database_url) as tokens:
        mine = bearer(await tokens.make(operator(VAULT, clusters=(A,))))
        everything = bearer(await tokens.make(EVERYTHING))
        for bound, headers in (((), mine), (BOUND, mine), (BOUND, everything)):
            async with start(a, b, vaults=VAULTS, vault_clusters=bound, **others) as relayer:
                status, answer, _ = await send(relayer, "POST", path, body, headers)
                assert (status, answer["field"]) == (403, fields.get(path, "public_keys[1]"))
                assert [item["public_key"] for item in answer["rejected"]] == keys[1:]


async def test_a_quota_of_each_vault(start: Start) -> None:
    cluster = make_cluster(6)
    async with start(cluster, vaults=VAULTS, vault_quota=2) as relayer:
        status, answer = await register(relayer, {}, 3)
        assert (status, answer["field"]) == (429, "amounts")
        assert "at most 2 validators may be reserved for one vault" in answer["error"]
        assert await wanted_of(relayer) == []
        for _ in range(2):
            assert (await register(relayer, {}, 2))[0] == 200
            assert (await register(relayer, {}, 2, OTHER_VAULT, START_INDEX + 9))[0] == 200
        assert (await register(relayer, {}, 3))[0] == 429
        assert (await register(relayer, {}, 1))[0] == 200  # which releases one
        assert (await register(relayer, {}, 2))[0] == 200


def test_what_cannot_be_bound() -> None:
    clusters = ServedClusters([make_cluster(1, name=A).shares], signature_threshold=3)
    for bound, problem in (
        ((VAULT, B), "no cluster that is named to the relayer is called 'cluster-b'"),
        ((VAULT, "other"), "no cluster that is named to the relayer is called 'other'"),
        ((OTHER_VAULT, A), f"{OTHER_VAULT.to_wire()} is no --vault"),
    ):
        with pytest.raises(ClustersError, match=problem):
            Vaults([VAULT], [bound], clusters)


def test_a_vault_for_which_nothing_is_left() -> None:
    a, b = (make_cluster(1, name=name).shares for name in (A, B))
    bound = [(OTHER_VAULT, A), (OTHER_VAULT, B)]
    vaults = Vaults(VAULTS, bound, ServedClusters([a, b], signature_threshold=None))
    with pytest.raises(wire.WireError, match="no cluster is left"):
        vaults.groups(VAULT, Caller("somebody"))
    assert vaults.without_keys == [VAULT]
    unnamed = Vaults(VAULTS, [], ServedClusters([], signature_threshold=3))
    with pytest.raises(wire.WireError, match="no cluster is named with --cluster-lock"):
        unnamed.groups(VAULT, Caller("somebody"))
    assert unnamed.without_keys == sorted(VAULTS)


def test_what_the_settings_say(tmp_path: Path) -> None:
    lock = write_lock(tmp_path / "lock.json", make_cluster(1, name=A))
    flags = {
        "network": "hoodi",
        "oracles": __file__,
        "cluster_locks": [str(lock.path)],
        "vaults": [VAULT.to_wire()],
    }
    settings = RelayerSettings.load(flags | {"vault_clusters": [f"{VAULT.to_wire()}={A}"]}, {})
    assert settings.vault_clusters == (VaultCluster(VAULT, A),)
    by_variable = {"DVTFAST_VAULT_CLUSTER": f"{VAULT.to_wire()}={A},{OTHER_VAULT.to_wire()}={'AB' * 32}"}
    settings = RelayerSettings.load(flags, by_variable)
    assert settings.vault_clusters[1] == VaultCluster(OTHER_VAULT, "0x" + "ab" * 32)
    assert settings.network == HOODI
    with pytest.raises(SettingsError) as caught:
        read_configuration(settings)
    assert any("is no --vault" in problem for problem in caught.value.problems)
    for wrong in ("", A, f"{VAULT.to_wire()}=", "=a", f"0x00={A}"):
        with pytest.raises(SettingsError, match="--vault-cluster"):
            RelayerSettings.load(flags | {"vault_clusters": [wrong]}, {})
