"""The tree of deposit data: the vector, and the `multiproof` library on trees of any size."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiproof import StandardMerkleTree

from dvtfast import HOODI, InputError
from dvtfast.deposit_data_tree import DepositDataTree, deposit_leaves, multiproof_root
from dvtfast.deposits import DepositData, read_deposit_data
from tests.vector_files import load, unhex

VECTOR = load("v3_deposit_data.json")
LEAF_TYPES = ["bytes", "uint256"]


def some_deposits(count, seed=1):
    """Records of random bytes, as the tree hashes them whatever they say."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 256, (count, width), np.uint8) for width in (48, 32, 96, 32, 32)]
    public_keys, credentials, signatures, message_roots, data_roots = columns
    amounts = np.full(count, 32 * 10**9, np.uint64)
    return DepositData(HOODI, public_keys, credentials, amounts, signatures, message_roots, data_roots)


def reference_tree(deposits):
    columns = zip(deposits.public_keys, deposits.signatures, deposits.data_roots, strict=True)
    values = [(b"".join(cell.tobytes() for cell in row), i) for i, row in enumerate(columns)]
    return StandardMerkleTree.of(values, LEAF_TYPES)


def test_the_vector(tmp_path):
    path = tmp_path / "deposit_data.json"
    path.write_text(json.dumps(VECTOR["deposit_data"]))
    tree = DepositDataTree(read_deposit_data(path))
    assert tree.root == unhex(VECTOR["merkle_root"])
    assert tree.prove(1, 3).root == tree.root


@given(data=st.data(), count=st.integers(1, 70), seed=st.integers(0, 2**32))
def test_as_the_multiproof_library(data, count, seed):
    first = data.draw(st.integers(0, count - 1))
    batch = data.draw(st.integers(1, count - first))
    deposits = some_deposits(count, seed)
    tree, expected = DepositDataTree(deposits), reference_tree(deposits)
    assert tree.root == unhex(expected.root)
    ours, theirs = tree.prove(first, batch), expected.get_multi_proof(list(range(first, first + batch)))
    assert list(ours.proof) == [unhex(node) for node in theirs.proof]
    assert list(ours.flags) == theirs.proof_flags
    assert list(ours.positions) == [position for _, position in theirs.leaves]
    leaves = deposit_leaves(deposits)
    assert [ours.leaves[place] for place in ours.indexes] == leaves[first : first + batch]
    assert ours.root == tree.root
    if batch == 1:
        assert list(ours.proof) == [unhex(node) for node in expected.get_proof(first)]


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (0, 6), (5, 1), (4, 2), (0, -1)])
def test_positions_that_are_none(first, count):
    with pytest.raises(InputError, match=r"positions: expected some of 0\.\.4"):
        DepositDataTree(some_deposits(5)).prove(first, count)


def test_an_empty_file_has_no_tree():
    with pytest.raises(InputError, match="expected at least one"):
        DepositDataTree(some_deposits(0))


@given(seed=st.integers(0, 2**32), count=st.integers(2, 20))
def test_a_changed_proof_is_none(seed, count):
    tree = DepositDataTree(some_deposits(count, seed))
    rng = random.Random(seed)
    good = tree.prove(0, rng.randint(1, count))
    leaves, proof, flags = list(good.leaves), list(good.proof), list(good.flags)
    rows = leaves if not proof or rng.random() < 0.5 else proof
    row = rng.randrange(len(rows))
    rows[row] = bytes([rows[row][0] ^ 1]) + rows[row][1:]
    assert multiproof_root(leaves, proof, flags) != tree.root


@pytest.mark.parametrize(
    ("leaves", "proof", "flags", "complaint"),
    [
        ([], [], [], "one less"),
        ([bytes(32)], [], [True], "one less"),
        ([bytes(32)], [bytes(32)], [], "one less"),
        ([bytes(31)], [], [], "32 bytes each"),
        ([bytes(32)], [bytes(33)], [False], "32 bytes each"),
        ([bytes(32)], [bytes(32)], [True], "one root"),
        ([bytes(32), bytes(32)], [], [False], "one root"),
        ([], [bytes(32), bytes(32)], [False], "one root"),
    ],
)
def test_what_does_not_fit_together(leaves, proof, flags, complaint):
    with pytest.raises(InputError, match=complaint):
        multiproof_root(leaves, proof, flags)


def test_a_lone_node_is_its_own_root():
    """As the contract has it: whether it is the leaf of a record, the caller must know."""
    assert multiproof_root([bytes(32)], [], []) == bytes(32)
    assert multiproof_root([], [bytes(32)], []) == bytes(32)
