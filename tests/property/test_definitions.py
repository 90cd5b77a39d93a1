"""Laws of cluster definitions: what is written is read, and no two of them have one hash."""

import dataclasses
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dvtfast import GNOSIS, HOODI, MAINNET, obol
from dvtfast.obol import Operator, Version

ETHER = 10**9
RECORDS = [obol.make_enr(bytes([i]) * 32) for i in range(1, 8)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@st.composite
def definitions(draw):
    n, k = draw(st.integers(1, 5)), draw(st.integers(3, 7))
    addresses = st.binary(min_size=20 * n, max_size=20 * n).map(
        lambda data: np.frombuffer(data, np.uint8).reshape(n, 20)
    )
    return obol.make_cluster_definition(
        network=draw(st.sampled_from([MAINNET, HOODI, GNOSIS])),
        operators=[Operator(enr=record) for record in RECORDS[:k]],
        threshold=draw(st.integers(2, k)),
        fee_recipients=draw(addresses),
        withdrawal_addresses=draw(addresses),
        name=draw(TEXT),
        version=draw(st.sampled_from(list(Version))),
        deposit_amounts_gwei=draw(st.lists(st.integers(ETHER, 32 * ETHER), max_size=5)),
        consensus_protocol=draw(st.sampled_from(["", "qbft"])),
        target_gas_limit=draw(st.integers(0, 2**64 - 1)),
        compounding=draw(st.booleans()),
    )


@given(definitions())
def test_what_is_written_is_read(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("definition") / "cluster-definition.json"
    obol.write_cluster_definition(path, made)
    found = obol.read_cluster_definition(path)
    assert obol.cluster_definition_to_json(found) == json.loads(path.read_text())
    assert obol.missing_proofs(found) == []
    assert obol.config_hash(found) == made.config_hash
    assert obol.definition_hash(found) == made.definition_hash


@given(definitions(), st.data())
def test_whatever_is_changed_the_hash_is_another(made, data):
    changes = {
        "name": made.name + "x",
        "uuid": made.uuid[:-1] + ("0" if made.uuid[-1] != "0" else "1"),
        "timestamp": made.timestamp + "Z",
        "threshold": made.threshold + 1,
        "dkg_algorithm": "frost",
        "fork_version": bytes(reversed(made.fork_version[:-1] + b"\x77")),
        "operators": made.operators[:-1],
        "fee_recipients": flipped(made.fee_recipients, data),
        "withdrawal_addresses": flipped(made.withdrawal_addresses, data),
    }
    if made.version >= Version.PARTIAL_DEPOSITS:
        changes["deposit_amounts_gwei"] = (*made.deposit_amounts_gwei, 0)
    if made.version >= Version.CONSENSUS_PROTOCOL:
        changes["consensus_protocol"] = made.consensus_protocol + "x"
    if made.version >= Version.GAS_LIMIT_AND_COMPOUNDING:
        changes["target_gas_limit"] = made.target_gas_limit ^ 1
        changes["compounding"] = not made.compounding
    name = data.draw(st.sampled_from(sorted(changes)))
    changed = dataclasses.replace(made, **{name: changes[name]})
    assert obol.config_hash(changed) != made.config_hash
    assert obol.definition_hash(changed) != made.definition_hash


def flipped(rows, data):
    changed = rows.copy()
    place = data.draw(st.integers(0, rows.size - 1))
    changed.reshape(-1)[place] ^= 1 << data.draw(st.integers(0, 7))
    return changed
