"""What a definition says that keys are for, to both protocols."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dvtfast import HOODI, check_signatures
from dvtfast.dkg.dvtfast_dkg.terms import Plan
from dvtfast.obol import (
    Version,
    make_cluster_definition,
    read_cluster_definition,
    read_cluster_lock,
    signed_cluster_lock,
    verify_cluster_lock,
)
from dvtfast.services.ceremony.dealing import DealtCluster
from dvtfast.services.ceremony.plan import ClusterPlan
from tests.vector_files import given


def plan_of(dealt: DealtCluster) -> ClusterPlan:
    return ClusterPlan(dealt.lock.definition, HOODI)


def test_the_lock_is_the_dealers(dealt: DealtCluster) -> None:
    """All that a ceremony signs and puts together, from what the dealer has signed."""
    plan: Plan = plan_of(dealt)
    assert isinstance(plan, ClusterPlan)
    lock = dealt.lock
    assert plan.names == ("deposit of 1 ETH", "deposit of 32 ETH", "registration")
    deposits = lock.deposits.signatures.reshape(2, 2, 96).swapaxes(0, 1)
    signatures = np.concatenate([deposits, lock.registrations.signatures[np.newaxis]])
    roots = plan.signing_roots(lock.public_keys, [0, 1])
    for kind in range(3):
        assert check_signatures(lock.public_keys, roots[kind], signatures[kind]).all()
        exchange = plan.exchanges[kind]
        np.testing.assert_array_equal(exchange.roots(lock.public_keys), roots[kind])
    assert [(each.step, each.slot) for each in plan.exchanges] == [(2, 200), (2, 201), (3, 102)]
    np.testing.assert_array_equal(plan.signing_roots(lock.public_keys[1:], [1]), roots[:, 1:])
    shares = lock.public_key_shares.swapaxes(0, 1)
    assert plan.lock_hash(lock.public_keys, shares, signatures) == lock.lock_hash
    by_name = dict(zip(plan.names, signatures, strict=True))
    unsigned = plan.unsigned_lock(lock.public_keys, shares, by_name)
    verify_cluster_lock(
        signed_cluster_lock(
            unsigned, signature_aggregate=lock.signature_aggregate, node_signatures=lock.node_signatures
        )
    )


def test_each_validator_has_its_own_addresses(dealt: DealtCluster) -> None:
    definition = dealt.lock.definition
    rows = np.arange(1, 41, dtype=np.uint8).reshape(2, 20)
    other = make_cluster_definition(
        network=HOODI,
        operators=definition.operators,
        threshold=3,
        fee_recipients=rows,
        withdrawal_addresses=rows[::-1].copy(),
    )
    plan = ClusterPlan(other, HOODI)
    roots = plan.signing_roots(dealt.lock.public_keys, [0, 1])
    swapped = plan.signing_roots(dealt.lock.public_keys, [1, 0])
    assert (roots != swapped).any(axis=2).all()
    np.testing.assert_array_equal(plan.signing_roots(dealt.lock.public_keys[::-1], [1, 0]), roots[:, ::-1])


def test_before_there_were_registrations(dealt: DealtCluster) -> None:
    definition = dataclasses.replace(dealt.lock.definition, version=Version.V1_6)
    plan = ClusterPlan(definition, HOODI)
    assert plan.names == ("deposit of 32 ETH",)
    assert [each.slot for each in plan.exchanges] == [200]
    lock = dealt.lock
    shares = lock.public_key_shares.swapaxes(0, 1)
    signatures = np.zeros((1, 2, 96), dtype=np.uint8)
    assert not plan.unsigned_lock(lock.public_keys, shares, signatures).registrations.signatures.any()


GOERLI = dataclasses.replace(
    HOODI,
    name="goerli",
    chain_id=5,
    genesis_fork_version=bytes.fromhex("00001020"),
    genesis_time=1616508000,
)


@pytest.mark.parametrize("name", ["frost_v1.10.3", "frost_main-e628470"])
def test_a_ceremony_of_charon(name: str, tmp_path: Path) -> None:
    document = json.loads(given(f"dkg/charon/ceremony_{name}.json").read_text())
    for which in ("definition", "lock"):
        (tmp_path / which).write_text(json.dumps(document[which]))
    definition, lock = read_cluster_definition(tmp_path / "definition"), read_cluster_lock(tmp_path / "lock")
    plan = ClusterPlan(definition, GOERLI)
    n, a = len(lock.public_keys), len(plan.names) - 1
    deposits = lock.deposits.signatures.reshape(n, a, 96).swapaxes(0, 1)
    signatures = np.concatenate([deposits, lock.registrations.signatures[np.newaxis]])
    roots = plan.signing_roots(lock.public_keys, range(n))
    for kind in range(a + 1):
        assert check_signatures(lock.public_keys, roots[kind], signatures[kind]).all()
    shares = lock.public_key_shares.swapaxes(0, 1)
    assert plan.lock_hash(lock.public_keys, shares, signatures) == lock.lock_hash
