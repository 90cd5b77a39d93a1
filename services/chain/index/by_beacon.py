"""The next validator index as beacon nodes tell it: their validators, and the deposits that wait.

The number of validators alone is wrong: deposits wait for days before they are applied, and the newest ones
may not have reached the beacon chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

import numpy as np

from dvtfast import Network
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, WITHDRAWAL_CREDENTIALS_BYTES

from ...process.offload import UnavailableError
from ..beacon.client import BeaconClient, BeaconHead, PendingDeposit
from ..beacon.head import fresh_head
from ..calls import ContractError
from ..contracts.reads import DEPOSIT_EVENT, Bytes, DepositEvents, decode_deposits, deposit_count
from ..deposits.completeness import require_count
from ..deposits.validity import DepositJudge
from ..encoding import read_address, write_data
from ..execution.node import Block, CallRevertedError, NodeClient
from ..index_source import require_since

FRESH_SECONDS = 2.0  # how long what was seen counts as of now


class BeaconIndex:
    """A beacon node as a source of the next validator index.

    Args:
        node: an execution node, which may be ahead of the beacon node; without it the beacon chain is all
            there is to know.
    """

    def __init__(
        self,
        beacon: BeaconClient,
        node: NodeClient | None,
        *,
        network: Network,
        threads: int | None = None,
    ) -> None:
        self._beacon = beacon
        self._node = node
        self._network = network
        self._contract = read_address(network.deposit_contract)
        self._judge = DepositJudge(network, threads=threads)
        self._top_ups: set[bytes] = set()  # keys of waiting deposits that are final validators'
        self._looking = asyncio.Lock()
        self._seen: tuple[int, set[bytes]] = 0, set()
        self._seen_of: tuple[BeaconHead, Block | None] | None = None
        self._seen_at = -FRESH_SECONDS

    async def next_index(self, *, since: int = 0) -> int:
        """The number of validators, with those that waiting deposits make.

        Raises:
            UnavailableError: no node answers as it should.
        """
        count, waiting = await self._now(since)
        return count + len(waiting)

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """Those of these keys that have a validator, or a waiting deposit that makes one."""
        _, waiting = await self._now(since)
        found = await self._beacon.validators(list(public_keys))
        return found.keys() | (waiting & set(public_keys))

    async def _now(self, since: int) -> tuple[int, set[bytes]]:
        """How many validators there are, and the keys of those that waiting deposits make."""
        async with self._looking:
            if time.monotonic() - self._seen_at > FRESH_SECONDS or self._seen_to < since:
                head = await fresh_head(self._beacon, self._network)
                latest = None if self._node is None else await self._node.block("latest")
                if (head, latest) != self._seen_of:
                    self._seen = await self._look(head, latest)
                    self._seen_of = head, latest
                self._seen_at = time.monotonic()
            require_since("beacon", self._seen_to, since)
            return self._seen

    @property
    def _seen_to(self) -> int:
        """The last block whose deposits were seen."""
        if self._seen_of is None:
            return -1
        head, latest = self._seen_of
        return head.block_number if latest is None else max(head.block_number, latest.number)

    async def _look(self, head: BeaconHead, latest: Block | None) -> tuple[int, set[bytes]]:
        state = write_data(head.state_root)  # all answers are about one state, on whichever node
        count = await self._beacon.validator_count(state)
        pending = _columns(await self._beacon.pending_deposits(state))
        unseen = decode_deposits([]) if latest is None else await self._unseen(head, latest)
        deposits = _joined(pending, unseen)
        known = await self._known({row.tobytes() for row in deposits.public_keys}, state)
        judged = await asyncio.to_thread(self._judge.judge, deposits, known, are_pending=True)
        return count, {deposits.public_keys[place].tobytes() for place in judged.places}

    async def _known(self, keys: set[bytes], state: str) -> set[bytes]:
        """Those that are validators' in a state; who is one in a final state is not asked for again."""
        self._top_ups &= keys
        asked = sorted(keys - self._top_ups)
        self._top_ups |= (await self._beacon.validators(asked, state="finalized")).keys()
        asked = sorted(keys - self._top_ups)
        return self._top_ups | (await self._beacon.validators(asked, state=state)).keys()

    async def _unseen(self, head: BeaconHead, latest: Block) -> DepositEvents:
        """Deposits of blocks after the one that the beacon chain has; the contract counts them."""
        assert self._node is not None, "it said which block is the latest"
        if latest.number < head.block_number:
            return decode_deposits([])
        seen = await self._node.block(head.block_number)
        if seen.hash != head.block_hash:
            raise UnavailableError(
                f"execution and beacon node have different blocks {head.block_number}: one is behind, or on"
                " another chain"
            )
        logs = await self._node.logs(self._contract, [DEPOSIT_EVENT], first=seen.number + 1, last=latest)
        try:
            before = await deposit_count(self._node, self._contract, block=seen)
            await require_count(self._node, self._contract, before + len(logs), block=latest)
            return decode_deposits(logs)
        except (ContractError, CallRevertedError) as error:
            raise UnavailableError(f"deposits: {error}") from error


def _columns(pending: Sequence[PendingDeposit]) -> DepositEvents:
    def rows(cells: list[bytes], width: int) -> Bytes:
        return np.frombuffer(b"".join(cells), np.uint8).reshape(-1, width)

    n = len(pending)
    return DepositEvents(
        public_keys=rows([each.public_key for each in pending], PUBLIC_KEY_BYTES),
        withdrawal_credentials=rows(
            [each.withdrawal_credentials for each in pending], WITHDRAWAL_CREDENTIALS_BYTES
        ),
        amounts_gwei=np.array([each.amount_gwei for each in pending], np.uint64),
        signatures=rows([each.signature for each in pending], SIGNATURE_BYTES),
        indices=np.zeros(n, np.uint64),
        block_numbers=np.zeros(n, np.uint64),
    )


def _joined(first: DepositEvents, second: DepositEvents) -> DepositEvents:
    columns = {name: np.concatenate([column, getattr(second, name)]) for name, column in vars(first).items()}
    return DepositEvents(**columns)
