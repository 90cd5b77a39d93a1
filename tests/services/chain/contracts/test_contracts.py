"""Calls and events of contracts, read from contracts of ours on a real node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from eth_abi import encode

from dvtfast.services.chain.calls import ContractError
from dvtfast.services.chain.contracts import reads
from dvtfast.services.chain.contracts.reads import (
    CONFIG_UPDATED,
    CONSOLIDATION_REQUESTS,
    DEPOSIT_EVENT,
    WITHDRAWAL_REQUESTS,
    ConfigPointer,
    decode_config_updated,
    decode_deposits,
    deposit_count,
    deposit_root,
    latest_config,
    requests_block,
    validators_manager,
    validators_manager_nonce,
    validators_min_oracles,
)
from dvtfast.services.chain.encoding import write_address
from dvtfast.services.chain.execution.node import CallRevertedError, Log, NodeClient
from tests.services.chain.anvil import Chain, Contract

FIELDS = ["bytes"] * 5
GWEI = 32_000_000_000
# Where EIP-6110 finds the fields of a DepositEvent.
FIELD_PLACES = [slice(192, 240), slice(288, 320), slice(352, 360), slice(416, 512), slice(544, 552)]


async def deposit(contract: Contract, byte: int, amount_gwei: int = GWEI) -> int:
    arguments = bytes([byte] * 48), bytes([byte + 1] * 32), amount_gwei, bytes([byte + 2] * 96)
    return await contract.send("deposit(bytes,bytes,uint256,bytes)", *arguments)


def event(index: int, *, amount: bytes = GWEI.to_bytes(8, "little"), data: bytes | None = None) -> Log:
    values = [bytes([1] * 48), bytes([2] * 32), amount, bytes([3] * 96), index.to_bytes(8, "little")]
    data = encode(FIELDS, values) if data is None else data
    return Log(bytes(20), (DEPOSIT_EVENT,), data, 7, bytes(32), 0)


def test_the_topic_of_deposits() -> None:
    """As the specification of the deposit contract prints it."""
    topic = "649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5"
    assert bytes.fromhex(topic) == DEPOSIT_EVENT


async def test_deposits(chain: Chain, node: NodeClient) -> None:
    contract = await chain.deploy("deposit")
    blocks = [await deposit(contract, 10, GWEI + 1), await deposit(contract, 20, 2**64 - 1)]
    last = await node.block("latest")
    deposits = decode_deposits(await node.logs(contract.address, [DEPOSIT_EVENT], first=0, last=last))
    assert deposits.public_keys.tolist() == [[10] * 48, [20] * 48]
    assert deposits.withdrawal_credentials.tolist() == [[11] * 32, [21] * 32]
    assert deposits.signatures.tolist() == [[12] * 96, [22] * 96]
    assert deposits.amounts_gwei.tolist() == [GWEI + 1, 2**64 - 1]
    assert deposits.indices.tolist() == [0, 1]
    assert deposits.block_numbers.tolist() == blocks
    assert deposits.public_keys.dtype == np.uint8
    assert deposits.amounts_gwei.dtype == deposits.indices.dtype == np.uint64


async def test_the_root_changes_with_each_deposit(chain: Chain, node: NodeClient) -> None:
    contract = await chain.deploy("deposit")
    seen = []
    for n in range(3):
        block = await node.block("latest")
        assert await deposit_count(node, contract.address, block=block) == n
        seen.append((block, await deposit_root(node, contract.address, block=block)))
        await deposit(contract, n)
    assert len({root for _, root in seen}) == 3
    for block, root in seen:
        assert await deposit_root(node, contract.address, block=block) == root
    await contract.send("deposit_many(uint256)", 300)
    assert await deposit_count(node, contract.address, block="latest") == 303


async def test_vaults(chain: Chain, node: NodeClient) -> None:
    vault = await chain.deploy("vault")
    manager = bytes(range(20))
    before = await node.block("latest")
    await vault.send("set_manager(address)", manager)
    await vault.send("use_nonce()")
    after = await node.block("latest")
    assert await validators_manager(node, vault.address, block=before) == bytes(20)
    assert await validators_manager(node, vault.address, block=after) == manager
    assert await validators_manager_nonce(node, vault.address, block=before) == 0
    assert await validators_manager_nonce(node, vault.address, block=after) == 1


async def test_the_keeper(chain: Chain, node: NodeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "SEARCH_SPAN_BLOCKS", 4)
    keeper = await chain.deploy("keeper")
    first = await chain.height()

    async def latest(begin: int = first) -> ConfigPointer | None:
        return await latest_config(node, keeper.address, first=begin, last=await node.block("latest"))

    with pytest.raises(ContractError, match=r"validatorsMinOracles: expected 1\.\.255, got 0"):
        await validators_min_oracles(node, keeper.address, block="latest")
    assert await latest() is None
    await keeper.send("set_min_oracles(uint256)", 8)
    assert await validators_min_oracles(node, keeper.address, block="latest") == 8
    await keeper.send("update_config(string)", "bafyold")
    block = await keeper.send("update_config(string)", "bafynew")
    assert await latest() == ConfigPointer("bafynew", block)
    await chain.mine(9)
    assert await latest() == ConfigPointer("bafynew", block)
    assert await latest(block + 1) is None


async def test_what_is_no_such_contract(chain: Chain, node: NodeClient) -> None:
    with pytest.raises(
        ContractError, match="get_deposit_root: expected bytes32, got 0 bytes: no contract there"
    ):
        await deposit_root(node, bytes(19) + b"\x99", block="latest")
    keeper = await chain.deploy("keeper")
    with pytest.raises(CallRevertedError):
        await deposit_root(node, keeper.address, block="latest")


class Returning:
    """A node whose calls return something."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def call(self, *_: object, **__: object) -> bytes:
        return self.data


WORD = bytes(31) + b"\x20"


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (deposit_root, bytes(31)),
        (deposit_count, WORD),
        (deposit_count, WORD + b"\xff" * 32),
        (deposit_count, b"\xff" * 64),
        (deposit_count, encode(["bytes"], [bytes(7)])),
        (deposit_count, encode(["bytes"], [bytes(9)])),
        (deposit_count, encode(["bytes"], [bytes(8)])[:-1] + b"\x01"),
        (validators_manager, b"\x01" * 32),
        (validators_manager, bytes(20)),
        (validators_manager_nonce, b"\x01"),
        (validators_min_oracles, b"\xff" * 32),
        (validators_min_oracles, bytes(32)),
    ],
)
async def test_returns_that_are_none(read, data: bytes) -> None:
    with pytest.raises(ContractError):
        await read(Returning(data), bytes(20), block="latest")


def test_no_deposits() -> None:
    deposits = decode_deposits([])
    assert deposits.public_keys.shape == (0, 48)
    assert deposits.amounts_gwei.shape == deposits.indices.shape == (0,)


def test_amounts_and_indices_are_little_endian() -> None:
    deposits = decode_deposits([event(256, amount=b"\x01\x02" + bytes(6))])
    assert (deposits.amounts_gwei[0], deposits.indices[0]) == (0x0201, 256)


@pytest.mark.parametrize("position", range(0, 576, 13))
def test_any_other_layout_is_refused(position: int) -> None:
    """Every byte is either of a field, and then it is read, or must be as it always is."""
    good = event(5)
    data = bytearray(good.data)
    data[position] ^= 0x80
    fields = ("public_keys", "withdrawal_credentials", "amounts_gwei", "signatures", "indices")
    if any(place.start <= position < place.stop for place in FIELD_PLACES):
        before, after = decode_deposits([good]), decode_deposits([event(5, data=bytes(data))])
        assert sum(not np.array_equal(getattr(before, f), getattr(after, f)) for f in fields) == 1
    else:
        with pytest.raises(ContractError, match="other offsets and lengths"):
            decode_deposits([event(5, data=bytes(data))])


@pytest.mark.parametrize("data", [b"", bytes(576), bytes(575), event(0).data + b"\x00", event(0).data[:-1]])
def test_events_of_another_length(data: bytes) -> None:
    with pytest.raises(ContractError, match="DepositEvent: expected"):
        decode_deposits([event(0), event(1, data=data)])


def test_an_event_of_another_kind() -> None:
    with pytest.raises(ContractError):
        decode_deposits([replace(event(0), topics=(CONFIG_UPDATED,))])


@pytest.mark.parametrize("indices", [(4, 6), (4, 4), (5, 4), (2**64 - 1, 1)])
def test_a_deposit_that_is_missing(indices: tuple[int, int]) -> None:
    with pytest.raises(ContractError, match=f"expected deposit {indices[0] + 1}, got {indices[1]}"):
        decode_deposits([event(index) for index in indices])


@pytest.mark.parametrize("cid", ["", "Qm/../x", "a b", "a\n", "é", "a" * 129])
def test_config_that_is_no_cid(cid: str) -> None:
    with pytest.raises(ContractError, match="ConfigUpdated: expected a CID"):
        decode_config_updated(Log(bytes(20), (CONFIG_UPDATED,), encode(["string"], [cid]), 1, bytes(32), 0))


@pytest.mark.parametrize("data", [b"", b"\xff" * 96, WORD + WORD + b"\xff" * 32])
def test_config_that_is_no_text(data: bytes) -> None:
    with pytest.raises(ContractError, match="ConfigUpdated: expected string"):
        decode_config_updated(Log(bytes(20), (CONFIG_UPDATED,), data, 1, bytes(32), 0))


@pytest.mark.parametrize(
    ("first", "last", "blocks"), [(0, 0, 0), (7, 8, 1), (7, 9, 1), (7, 10, 2), (0, 300, 150)]
)
async def test_requests_that_wait(chain: Chain, node: NodeClient, first: int, last: int, blocks: int) -> None:
    """A block has room for 2 consolidations, or 16 withdrawals."""
    await queue_up(chain, CONSOLIDATION_REQUESTS, first, last)
    await queue_up(chain, WITHDRAWAL_REQUESTS, 8 * first, 8 * last)
    head = await node.block("latest")
    for predeploy in (CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS):
        assert await requests_block(node, predeploy, block=head) == head.number + blocks


async def test_a_queue_that_is_none(chain: Chain, node: NodeClient) -> None:
    await queue_up(chain, WITHDRAWAL_REQUESTS, 5, 4)
    with pytest.raises(ContractError, match="expected a queue, got one from 5 to 4"):
        await requests_block(node, WITHDRAWAL_REQUESTS, block=await node.block("latest"))


async def queue_up(chain: Chain, predeploy: bytes, first: int, last: int) -> None:
    """Source: EIP-7002 and EIP-7251, storage slots."""
    for slot, place in ((2, first), (3, last)):
        word = f"0x{slot:064x}", f"0x{place:064x}"
        await chain.rpc("anvil_setStorageAt", write_address(predeploy), *word)
