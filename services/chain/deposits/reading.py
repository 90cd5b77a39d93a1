"""Reads the deposit contract on, look by look; whoever keeps what it says is a `DepositReader`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import aclosing

from dvtfast import Network

from ...process import logs
from ...process.offload import UnavailableError
from ..calls import ContractError
from ..contracts.reads import DEPOSIT_EVENT, DepositEvents
from ..encoding import read_address
from ..execution.node import CallRevertedError, NodeClient
from ..execution.scanner import (
    CONFIRMATIONS,
    SPAN_BLOCKS,
    Checkpoint,
    FinalLogs,
    LogScanner,
    PendingLogs,
    Rewound,
    ahead,
)
from .completeness import prove_complete
from .contract_tree import DepositsSoFar
from .validity import DepositJudge, JudgedDeposits

log = logs.get("deposits")


class DepositReader(ABC):
    """The deposits of one contract: final ones are kept for good, pending ones until the next look.

    Args:
        first: the block from which on deposits are read.
        max_age_seconds: nodes whose latest block is older are passed over; None for none.

    Attributes:
        is_complete: whether all deposits were read, as far as the last look could.
    """

    def __init__(
        self,
        node: NodeClient,
        network: Network,
        *,
        first: int,
        threads: int | None,
        max_age_seconds: float | None,
        confirmations: int = CONFIRMATIONS,
        span_blocks: int = SPAN_BLOCKS,
    ) -> None:
        self.is_complete = False
        self._node = node
        self._network = network
        self._contract = read_address(network.deposit_contract)
        self._judge = DepositJudge(network, threads=threads)
        self._scanner = LogScanner(
            node,
            self._contract,
            [DEPOSIT_EVENT],
            first=first,
            max_age_seconds=max_age_seconds,
            confirmations=confirmations,
            span_blocks=span_blocks,
        )

    @abstractmethod
    async def _checkpoints(self) -> Sequence[Checkpoint]:
        """Up to where deposits are kept."""

    @abstractmethod
    async def _before(self, first: int) -> DepositsSoFar:
        """All deposits before what is read next."""

    @abstractmethod
    async def _learn(self, batch: FinalLogs) -> None:
        """Keep what is final."""

    @abstractmethod
    async def _expect(self, batch: PendingLogs) -> None:
        """Keep what is pending, in place of what was."""

    @abstractmethod
    async def _rewind(self, back_to: int | None) -> None:
        """Blocks above one, or all, are to be read again."""

    async def _read_on(self) -> None:
        """One look at the contract: keep all that is new.

        Raises:
            UnavailableError: no node answers, or it leaves out deposits; what was read until then is kept.
        """
        batches = ahead(self._scanner.batches(await self._checkpoints()))
        try:
            async with aclosing(batches):
                async for batch in prove_complete(batches, self._node, self._contract, self._before):
                    if isinstance(batch, Rewound):
                        self.is_complete = False
                        back_to = batch.back_to.number if batch.back_to else None
                        log.warning("chain reorganised", lost=batch.lost.number, back_to=back_to)
                        await self._rewind(back_to)
                    elif isinstance(batch, FinalLogs):
                        await self._learn(batch)
                    else:
                        await self._expect(batch)
        except (ContractError, CallRevertedError) as error:
            raise UnavailableError(f"deposits: {error}") from error
        self.is_complete = True


def made(deposits: DepositEvents, judged: JudgedDeposits) -> dict[bytes, int]:
    """Blocks of the deposits that make validators, by public key, in the order of the chain."""
    blocks = deposits.block_numbers.tolist()
    return {deposits.public_keys[place].tobytes(): blocks[place] for place in judged.places}
