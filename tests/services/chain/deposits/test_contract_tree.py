"""The deposit contract's tree, beside a contract that keeps it, and a tree that is made anew each time."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dvtfast.services.chain.contracts.reads import decode_deposits, deposit_root
from dvtfast.services.chain.deposits.contract_tree import DepositsSoFar
from dvtfast.services.chain.execution.node import NodeClient
from tests import reference
from tests.services.chain.anvil import Chain
from tests.services.chain.deposits.deposit_events import BAD_KINDS, Deposit, bad, logs_of, signed

DEPTH = 32
# Source: consensus-specs, the root of the deposit contract without deposits.
NONE = bytes.fromhex("d70a234731285c6804c2a4f56711ddb8c82c99740f207854891028af34e27e5e")


def root(deposits: list[Deposit]) -> bytes:
    """As the specification defines it: a list of up to 2^32 containers, with its length."""
    row = [
        reference.deposit_data_root(
            each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
        )
        for each in deposits
    ]
    empty = bytes(32)
    for _ in range(DEPTH):
        row = [*row, empty] if len(row) % 2 else row
        row = [sha256(row[i] + row[i + 1]).digest() for i in range(0, len(row), 2)]
        empty = sha256(empty + empty).digest()
    return sha256((row or [empty])[0] + len(deposits).to_bytes(32, "little")).digest()


def test_without_deposits() -> None:
    assert DepositsSoFar.none().root == NONE == root([])


@given(st.lists(st.integers(0, 9), max_size=12))
def test_in_whatever_pieces(pieces: list[int]) -> None:
    random = Random(1)
    so_far, deposits = DepositsSoFar.none(), []
    for count in pieces:
        new = [
            Deposit(random.randbytes(48), random.randbytes(32), random.getrandbits(64), random.randbytes(96))
            for _ in range(count)
        ]
        so_far = so_far.after(decode_deposits(logs_of(new, first=so_far.count)))
        deposits += new
        assert (so_far.count, so_far.root) == (len(deposits), root(deposits))
        assert DepositsSoFar.read(so_far.count, so_far.written) == so_far


def test_where_those_before_are_not_known() -> None:
    so_far = DepositsSoFar(7).after(decode_deposits(logs_of([signed(1)], first=7)))
    assert (so_far.count, so_far.root, so_far.written) == (8, None, None)
    assert DepositsSoFar.read(8, None) == so_far


async def test_a_contract(chain: Chain, node: NodeClient) -> None:
    contract = await chain.deploy("deposit")
    so_far = DepositsSoFar.none()
    assert await deposit_root(node, contract.address, block="latest") == so_far.root
    for each in [signed(1), *(bad(2, kind) for kind in range(BAD_KINDS)), signed(1)]:
        values = each.public_key, each.withdrawal_credentials, each.amount_gwei, each.signature
        await contract.send("deposit(bytes,bytes,uint256,bytes)", *values)
        so_far = so_far.after(decode_deposits(logs_of([each], first=so_far.count)))
        assert await deposit_root(node, contract.address, block="latest") == so_far.root
