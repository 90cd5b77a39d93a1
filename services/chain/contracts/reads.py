"""What the registration reads of contracts: the deposit contract, vaults and the Keeper.

Sources: consensus-specs deposit contract, EIP-6110 (layout of a DepositEvent), StakeWise v3-core
(VaultValidators, Keeper). Every read says at which block, so that several fit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES

from ..calls import ContractError, encode_call
from ..encoding import keccak256, read_address, write_address
from ..execution.node import Block, Log, NodeClient, Tag

WORD_BYTES = 32
UINT64_BYTES = 8
# The Keeper takes 30 oracles, a share index still fits in a byte; anything else is another contract.
MIN_ORACLES_LIMIT = 255
CID_CHARACTERS_LIMIT = 128
VAULT_PLACE = 2  # of the vault among the topics of ExitSignaturesUpdated
SEARCH_SPAN_BLOCKS = 50_000  # in one look for the latest event, a week of mainnet

# Source: EIP-7002 and EIP-7251, where requests of withdrawals and consolidations are made.
WITHDRAWAL_REQUESTS = read_address("0x00000961Ef480Eb55e80D19ad83579A64c007002")
CONSOLIDATION_REQUESTS = read_address("0x0000BBdDc7CE488642fb579F8B00f3a590007251")
REQUESTS_PER_BLOCK = {WITHDRAWAL_REQUESTS: 16, CONSOLIDATION_REQUESTS: 2}
REQUESTS_FROM_SLOT, REQUESTS_TO_SLOT = 2, 3  # of their storage: where what waits begins, and where it ends

DEPOSIT_EVENT = keccak256(b"DepositEvent(bytes,bytes,bytes,bytes,bytes)")
CONFIG_UPDATED = keccak256(b"ConfigUpdated(string)")
EXIT_SIGNATURES_UPDATED = keccak256(b"ExitSignaturesUpdated(address,address,uint256,string)")

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class DepositEvents:
    """Deposits in the order of the chain.

    Attributes:
        public_keys: uint8[n, 48]
        withdrawal_credentials: uint8[n, 32]
        amounts_gwei: uint64[n]
        signatures: uint8[n, 96]; anybody can deposit, so they may be wrong.
        indices: uint64[n], each one more than the one before; the place among all deposits.
        block_numbers: uint64[n]
    """

    public_keys: Bytes
    withdrawal_credentials: Bytes
    amounts_gwei: Numbers
    signatures: Bytes
    indices: Numbers
    block_numbers: Numbers

    def at(self, places: npt.NDArray[Any]) -> DepositEvents:
        """Some of them, by places or a mask."""
        return DepositEvents(**{name: column[places] for name, column in vars(self).items()})


@dataclass(frozen=True)
class ConfigPointer:
    """Where the oracle config is that the Keeper announced in a block."""

    cid: str
    block_number: int


async def deposit_root(node: NodeClient, deposit_contract: bytes, *, block: Block | int | Tag) -> bytes:
    """The root of all deposits, the `validatorsRegistryRoot` of a registration; it changes with each."""
    root: bytes = await view(node, deposit_contract, "get_deposit_root()", "bytes32", block=block)
    return root


async def deposit_count(node: NodeClient, deposit_contract: bytes, *, block: Block | int | Tag) -> int:
    """How many deposits there were, so the index of the next."""
    count: bytes = await view(node, deposit_contract, "get_deposit_count()", "bytes", block=block)
    if len(count) != UINT64_BYTES:
        raise _wrong(deposit_contract, "get_deposit_count", f"expected 8 bytes, got {len(count)}")
    return int.from_bytes(count, "little")


async def validators_manager(node: NodeClient, vault: bytes, *, block: Block | int | Tag) -> bytes:
    """The address that signs for the validators of a vault."""
    return read_address(await view(node, vault, "validatorsManager()", "address", block=block))


async def validators_manager_nonce(node: NodeClient, vault: bytes, *, block: Block | int | Tag) -> int:
    """The nonce of the next signature of a vault's manager that is not about a registration.

    Each signature that the vault took raised it, those of registrations too.
    """
    nonce: int = await view(node, vault, "validatorsManagerNonce()", "uint256", block=block)
    return nonce


async def validators_min_oracles(node: NodeClient, keeper: bytes, *, block: Block | int | Tag) -> int:
    """How many oracles must approve a registration."""
    oracles: int = await view(node, keeper, "validatorsMinOracles()", "uint256", block=block)
    if not 1 <= oracles <= MIN_ORACLES_LIMIT:
        raise _wrong(keeper, "validatorsMinOracles", f"expected 1..{MIN_ORACLES_LIMIT}, got {oracles}")
    return oracles


async def exit_signatures_nonce(
    node: NodeClient, keeper: bytes, vault: bytes, *, block: Block | int | Tag
) -> int:
    """The nonce of the oracles' next word on where a vault's exits are."""
    nonce: int = await view(node, keeper, "exitSignaturesNonces(address)", "uint256", vault, block=block)
    return nonce


async def is_compounding(node: NodeClient, vault: bytes, public_key: bytes, *, block: Block) -> bool:
    """Whether a vault knows a validator as one of type 0x02, to which stake may be added."""
    key = keccak256(public_key)
    known: bool = await view(node, vault, "v2Validators(bytes32)", "bool", key, block=block)
    return known


async def request_fee(node: NodeClient, predeploy: bytes, *, block: Block) -> int:
    """What one request costs in the next block, in wei; it is raised by many requests, and falls without.

    Args:
        predeploy: `WITHDRAWAL_REQUESTS` or `CONSOLIDATION_REQUESTS`.

    Source: EIP-7002 and EIP-7251, fee calculation: a call without data.
    """
    fee: int = _decode("uint256", await node.call(predeploy, b"", block=block), predeploy, "fee")
    return fee


async def requests_block(node: NodeClient, predeploy: bytes, *, block: Block) -> int:
    """The number of the block that hands the last of the requests of now to the beacon chain.

    A block hands over so many; the others wait. Their order is that in which they were made.

    Args:
        predeploy: as of `request_fee`.

    Source: EIP-7002 and EIP-7251, system call.
    """
    first = await node.storage(predeploy, REQUESTS_FROM_SLOT, block=block)
    last = await node.storage(predeploy, REQUESTS_TO_SLOT, block=block)
    if last < first:
        raise _wrong(predeploy, "storage", f"expected a queue, got one from {first} to {last}")
    return block.number + -(-(last - first) // REQUESTS_PER_BLOCK[predeploy])


async def latest_config(node: NodeClient, keeper: bytes, *, first: int, last: Block) -> ConfigPointer | None:
    """The latest oracle config announced in the blocks `first` to `last`, None if there is none."""
    log = await latest_log(node, keeper, CONFIG_UPDATED, first=first, last=last)
    return None if log is None else ConfigPointer(decode_config_updated(log), log.block_number)


def decode_config_updated(log: Log) -> str:
    """The CID in a ConfigUpdated event of the Keeper."""
    cid: str = _decode("string", log.data, log.address, "ConfigUpdated")
    if not (cid.isascii() and cid.isalnum()) or len(cid) > CID_CHARACTERS_LIMIT:
        raise _wrong(log.address, "ConfigUpdated", "expected a CID")
    return cid


def decode_deposits(logs: Sequence[Log]) -> DepositEvents:
    """The deposits in DepositEvent logs, in their order.

    Raises:
        ContractError: a log is no such event, or one between two of them is missing.
    """
    n = len(logs)
    for log in logs:
        if log.topics != (DEPOSIT_EVENT,) or len(log.data) != _DEPOSIT_EVENT_BYTES:
            raise _wrong(log.address, "DepositEvent", f"expected {_DEPOSIT_EVENT_BYTES} bytes")
    rows = np.frombuffer(b"".join(log.data for log in logs), np.uint8).reshape(n, _DEPOSIT_EVENT_BYTES)
    strange = np.flatnonzero((rows[:, _FRAME_MASK] != _FRAME[_FRAME_MASK]).any(axis=1))
    if strange.size:
        raise _wrong(logs[int(strange[0])].address, "DepositEvent", "expected other offsets and lengths")
    columns = [np.ascontiguousarray(rows[:, place]) for place in _FIELD_PLACES]
    public_keys, withdrawal_credentials, amounts, signatures, indices = columns
    deposits = DepositEvents(
        public_keys=public_keys,
        withdrawal_credentials=withdrawal_credentials,
        amounts_gwei=amounts.view("<u8").reshape(n).astype(np.uint64),
        signatures=signatures,
        indices=indices.view("<u8").reshape(n).astype(np.uint64),
        block_numbers=np.array([log.block_number for log in logs], np.uint64),
    )
    gaps = np.flatnonzero(deposits.indices[1:] != deposits.indices[:-1] + np.uint64(1))
    if gaps.size:
        before, after = deposits.indices[gaps[0] : gaps[0] + 2].tolist()
        raise _wrong(logs[0].address, "DepositEvent", f"expected deposit {before + 1}, got {after}")
    return deposits


async def view(
    node: NodeClient,
    contract: bytes,
    signature: str,
    returns: str,
    *arguments: Any,
    block: Block | int | Tag,
) -> Any:
    """The value that a function returns, such as `canHarvest(address)`.

    Raises:
        ContractError: it returns something else.
        CallRevertedError, NodeError: it returns nothing.
    """
    answer = await node.call(contract, encode_call(signature, *arguments), block=block)
    return _decode(returns, answer, contract, signature.partition("(")[0])


async def exits_updated_at(
    node: NodeClient, keeper: bytes, vault: bytes, *, first: int, last: Block
) -> int | None:
    """The block in which the Keeper last noted where a vault's exits are, None if it did not."""
    log = await latest_log(
        node, keeper, EXIT_SIGNATURES_UPDATED, first=first, last=last, about=vault, place=VAULT_PLACE
    )
    return None if log is None else log.block_number


async def latest_log(
    node: NodeClient,
    contract: bytes,
    topic: bytes,
    *,
    first: int,
    last: Block,
    about: bytes | None = None,
    place: int = 1,
) -> Log | None:
    """The latest log of one kind in the blocks `first` to `last`, None if there is none.

    Args:
        about: an address that the log must have, as the topic at this place.

    Cost: one request per 50,000 blocks, from the last one back to the event.
    """
    while True:
        begin = max(first, last.number - SEARCH_SPAN_BLOCKS + 1)
        logs = await node.logs(contract, [topic], first=begin, last=last)
        if about is not None:
            word = bytes(WORD_BYTES - len(about)) + about
            logs = [log for log in logs if log.topics[place : place + 1] == (word,)]
        if logs:
            return logs[-1]
        if begin <= first:
            return None
        last = await node.block(begin - 1)


def _decode(kind: str, data: bytes, contract: bytes, name: str) -> Any:
    try:
        (value,) = decode([kind], data)
    except (DecodingError, ValueError, OverflowError) as error:
        what = "no contract there" if not data else type(error).__name__
        raise _wrong(contract, name, f"expected {kind}, got {len(data)} bytes: {what}") from None
    return value


def _wrong(contract: bytes, name: str, reason: str) -> ContractError:
    return ContractError(f"{write_address(contract)} {name}: {reason}")


def _deposit_event_frame() -> tuple[Bytes, npt.NDArray[np.bool_], list[slice]]:
    """The bytes of a DepositEvent that are the same in all, which these are, and where its fields are.

    Five words of offsets, then each field: a word of its length, and the field, filled up to whole words.
    """
    widths = [PUBLIC_KEY_BYTES, WITHDRAWAL_CREDENTIALS_BYTES, UINT64_BYTES, SIGNATURE_BYTES, UINT64_BYTES]
    offsets, places, body = b"", [], b""
    for width in widths:
        begin = len(widths) * WORD_BYTES + len(body)
        offsets += begin.to_bytes(WORD_BYTES, "big")
        places.append(slice(begin + WORD_BYTES, begin + WORD_BYTES + width))
        body += width.to_bytes(WORD_BYTES, "big") + bytes(-(-width // WORD_BYTES) * WORD_BYTES)
    frame = np.frombuffer(offsets + body, np.uint8)
    mask = np.ones(len(frame), np.bool_)
    for place in places:
        mask[place] = False
    return frame, mask, places


_FRAME, _FRAME_MASK, _FIELD_PLACES = _deposit_event_frame()
_DEPOSIT_EVENT_BYTES = len(_FRAME)
