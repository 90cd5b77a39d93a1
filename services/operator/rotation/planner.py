"""Gives the exits of a vault's validators to the oracles of today, when these are others than before.

The oracles say of which validators they want exits, by index; the relayer splits those exits anew, and has
its nodes sign those that it does not have; the oracles check their shares and sign where they keep them; the
Keeper notes that. What lacks is named, and the rest goes on: the oracles ask for it again.

Nothing is signed by the operator here, and nothing sent to the chain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from dvtfast.protocol_config import OracleConfig

from ... import wire
from ...chain import calls
from ...chain.contracts.reads import exits_updated_at, validators_min_oracles
from ...chain.execution.node import Block
from ...chain.execution.policies import quorum
from ...chain.execution.scanner import final_block
from ...chain.index.keys_by_index import KeysByIndex
from ...process import logs
from ...relayer_client.client import RelayerClient, RelayerRefusedError
from ..chain import Chain, approval_deadline, positive
from ..oracles.agreement import TooFewOraclesError
from ..oracles.client import OracleClient
from ..plan import NothingToDoError, NotReadyError, StaleError
from ..progress import ProgressReport, no_report
from ..registration.checks import wrong_shares
from ..registration.planner import require_relayer
from ..sending.action import Action, ActionKind
from ..sending.journal import Journal
from .plan import RotationPlan, left_out_in_words
from .rotation_info import (
    OraclesAheadError,
    OraclesBehindError,
    RotationInfo,
    RotationRequest,
    rotate,
    rotation_info,
)

DEFAULT_ROTATION_LIMIT: Final = 100  # validators of one rotation, where the config names none
MOST_LEFT_OUT: Final = 10_000  # of one look; an oracle that names strangers keeps nobody busy for ever
AHEAD_LOOKS: Final = 3  # a slot each, for our nodes to get to the block that honest oracles tell of
PAUSE_SECONDS: Final = 3600  # of a validator between two rotations of its exit, however often it is wanted

log = logs.get("operator")


class NotFinalYetError(OraclesBehindError):
    """The vault's last rotation is not final yet; oracles do not count it before."""


@dataclass
class RotationPlanner:
    """Makes rotations of one vault ready, one batch after the other.

    Attributes:
        journal: which exits were given lately: none is again within the hour, after a restart either.
        collect_seconds: how long the relayer's nodes may take to sign what it does not have.
        left_out: why validators could not be rotated, by index; they are not tried again.
    """

    chain: Chain
    keys: KeysByIndex
    relayer: RelayerClient
    oracle_client: OracleClient
    journal: Journal
    vault: bytes
    poll_seconds: float
    collect_seconds: float
    report: ProgressReport = no_report
    now: Callable[[], float] = time.time
    left_out: dict[int, str] = field(default_factory=dict, init=False)
    _last: tuple[int, int] = field(default=(0, 0), init=False)  # the nonce, and where it was raised to that

    async def prepare(self) -> RotationPlan:
        """The next batch.

        Raises:
            NothingToDoError: the oracles want no exits, or only such as were left out, or given to them
                within the hour.
            NotFinalYetError: the last rotation is not.
            OraclesBehindError: the oracles have to catch up first.
            NotReadyError: the relayer, or the oracles, are not ready.
            StaleError: the vault's exits were updated meanwhile; begin again.
            UnavailableError, RelayerUnavailableError, RelayerRefusedError, ContractError,
                CallRevertedError, OracleConfigError, IpfsContentError: somebody does not do its part.
        """
        while (rotation := await self._prepare()) is None:
            pass  # all of that batch was left out
        return rotation

    async def _prepare(self) -> RotationPlan | None:
        """The next batch; None when all of it was left out."""
        chain = self.chain
        head = await chain.head()
        config = await chain.oracle_config(head)
        threshold = await validators_min_oracles(chain.node, chain.keeper, block=head)
        nonce = await chain.nonce(ActionKind.UPDATE_EXITS, self.vault, head)
        info = await self._info(config, head, since=await self._last_rotation(nonce, head))
        wanted = await self._wanted(info)
        await require_relayer(self.relayer, chain.network)
        limit = positive(config.raw.get("validators_exit_rotation_batch_limit"), DEFAULT_ROTATION_LIMIT)
        batch = wanted[:limit]
        self.report(f"the oracles want the exits of {len(wanted)} validators; asking the relayer")
        shares = await self._shares(batch, config)
        self._tell_left_out(batch)
        if not shares:
            return None
        request = RotationRequest(
            vault=self.vault,
            public_keys=list(shares),
            shares=list(shares.values()),
            nonce=nonce,
            deadline=approval_deadline(config, await chain.head()),
        )
        left_out = {index: self.left_out[index] for index in batch if index in self.left_out}
        indices = [index for index in batch if index not in left_out]
        try:
            action = await self._approved(request, config, threshold, indices, left_out, head)
        except NotReadyError:
            await self._require_same(nonce, head)  # for another nonce nobody signs
            raise
        await self._require_same(nonce, head)
        return RotationPlan(action, self.chain.network, left_out, len(wanted))

    async def _require_same(self, nonce: int, head: Block) -> None:
        now = await self.chain.head(at_least=head.number)
        if await self.chain.nonce(ActionKind.UPDATE_EXITS, self.vault, now) != nonce:
            raise StaleError("the vault's exits were updated meanwhile")

    async def _last_rotation(self, nonce: int, head: Block) -> int | None:
        """The block of the vault's last rotation, if there was one; it has to be final.

        What is said by oracles that have not seen it is of before, and would be paid for twice.
        """
        if nonce == 0:
            return None
        chain = self.chain
        if self._last[0] != nonce:
            first = chain.network.keeper_genesis_block
            found = await quorum(
                chain.node,
                "the vault's last rotation",
                lambda one: exits_updated_at(one, chain.keeper, self.vault, first=first, last=head),
            )
            if found is None:
                raise NotReadyError(
                    f"the vault's exits were rotated {nonce} times, and the node has no such event: it lacks"
                    " logs of the Keeper; name one that keeps them"
                )
            self._last = nonce, found
        number = self._last[1]
        final = await final_block(chain.node, head)
        if number > final.number:
            self._last = 0, 0  # it may move
            raise NotFinalYetError(f"the rotation of block {number} is not final yet; {final.number} is")
        return number

    async def _info(self, config: OracleConfig, head: Block, *, since: int | None) -> RotationInfo:
        """What the oracles say; they are asked again while they are a moment ahead of our nodes."""

        async def latest() -> int:
            return (await self.chain.head(at_least=head.number)).number

        for _ in range(AHEAD_LOOKS - 1):
            try:
                return await rotation_info(self.vault, config, self.oracle_client, since=since, head=latest)
            except OraclesAheadError:
                await asyncio.sleep(self.chain.network.seconds_per_slot)
        return await rotation_info(self.vault, config, self.oracle_client, since=since, head=latest)

    async def _wanted(self, info: RotationInfo) -> list[int]:
        """The validators whose exits can be given now."""
        given = await self._given_lately()
        wanted = [
            index for index in info.validator_indices if index not in self.left_out and index not in given
        ]
        if wanted and len(self.left_out) >= MOST_LEFT_OUT:
            raise NotReadyError(
                f"nothing can be given of what the oracles want; {left_out_in_words(self.left_out)}"
            )
        if wanted:
            return wanted
        if self.left_out:
            raise NothingToDoError(f"nothing more can be done; {left_out_in_words(self.left_out)}")
        if again := given.intersection(info.validator_indices):
            raise NothingToDoError(
                f"the oracles want exits of {len(again)} validators that they were given within the hour;"
                " they get none twice in that time"
            )
        raise NothingToDoError("the oracles want no exits of the vault")

    async def _given_lately(self) -> set[int]:
        """Whose exits were given within the hour, by what the journal says was signed."""
        entries = await self.journal.begun_since(
            int(self.now()) - PAUSE_SECONDS,
            chain_id=self.chain.network.chain_id,
            kind=ActionKind.UPDATE_EXITS,
            vault=self.vault,
        )
        signed = [entry for entry in entries if entry.transactions]
        return {index for entry in signed for index in entry.action.details.get("indices", ())}

    async def _shares(
        self, batch: Sequence[int], config: OracleConfig
    ) -> dict[bytes, wire.OraclesExitSignatureShares]:
        """The shares of those that have them, in the order of the batch; others are left out."""
        keys = await self.keys.public_keys(batch)
        for index in batch:
            if index not in keys:
                self.left_out[index] = "nobody knows its public key"
        indices = {keys[index]: index for index in batch if index in keys}
        answered = await self._collect(indices)
        wrong = await asyncio.to_thread(wrong_shares, list(answered), answered, config)
        for key, problem in wrong.items():
            self.left_out[indices[key]] = f"the relayer's shares are wrong: {problem}"
        return {key: answered[key] for key in indices if key in answered and key not in wrong}

    async def _collect(self, indices: dict[bytes, int]) -> dict[bytes, wire.OraclesExitSignatureShares]:
        """Ask the relayer until it has all, or long enough; what it refuses or lacks is left out.

        What was asked is answered, however long that takes: then it is known what the relayer lacks.
        """
        asked = dict(indices)
        found: dict[bytes, wire.OraclesExitSignatureShares] = {}
        end = time.monotonic() + self.collect_seconds
        while asked:
            found |= await self._ask(asked)
            left = end - time.monotonic()
            if asked.keys() <= found.keys() or left <= 0:
                break
            self.report("exits split anew", len(found), len(asked))
            await asyncio.sleep(min(self.poll_seconds, left))
        for key, index in asked.items():
            if key not in found:
                self.left_out[index] = f"its exit was not signed within {self.collect_seconds:g} s"
        return found

    async def _ask(self, asked: dict[bytes, int]) -> dict[bytes, wire.OraclesExitSignatureShares]:
        """What the relayer has now; whom it does not serve is taken out."""
        while asked:
            items = [wire.RotateItem(wire.PublicKey(key), wire.UInt64(index)) for key, index in asked.items()]
            try:
                answer = await self.relayer.post_rotate(wire.RotateRequest(wire.Address(self.vault), items))
            except RelayerRefusedError as error:
                place = _place(error.field, len(items))
                if place is None:
                    raise
                self.left_out[asked.pop(items[place].public_key)] = f"the relayer refuses: {error}"
                continue
            return {
                bytes(each.public_key): each.oracles_exit_signature_shares
                for each in answer.validators
                if each.oracles_exit_signature_shares is not None and each.public_key in asked
            }
        return {}

    async def _approved(
        self,
        request: RotationRequest,
        config: OracleConfig,
        threshold: int,
        indices: Sequence[int],
        left_out: dict[int, str],
        head: Block,
    ) -> Action:
        self.report(f"asking {len(config.public_keys)} oracles")
        try:
            approval = await rotate(
                request,
                config,
                self.oracle_client,
                keeper_address=self.chain.keeper,
                chain_id=self.chain.network.chain_id,
                threshold=threshold,
            )
        except (TooFewOraclesError, ValueError) as error:
            raise NotReadyError(f"oracles: {error}") from None
        return Action(
            ActionKind.UPDATE_EXITS,
            vault=self.vault,
            to=self.chain.keeper,
            data=calls.update_exit_signatures(
                self.vault, approval.deadline, approval.ipfs_hash, approval.signatures
            ),
            public_keys=tuple(map(bytes, request.public_keys)),
            deadline=approval.deadline,
            details={
                "validators": len(request.public_keys),
                "indices": list(indices),
                "nonce": request.nonce,
                "exit_signatures": approval.ipfs_hash,
                "approvals": threshold,
                "left_out": {str(index): why for index, why in left_out.items()},
            },
            block_number=head.number,
        )

    def _tell_left_out(self, batch: Sequence[int]) -> None:
        for index in batch:
            if index in self.left_out:
                log.error("validator left out of the rotation", index=index, why=self.left_out[index])


def _place(path: str, count: int) -> int | None:
    """The position in `validators[3].public_key`."""
    number = path.removeprefix("validators[").partition("]")[0]
    is_place = path.startswith("validators[") and number.isascii() and number.isdigit() and len(number) < 9
    return int(number) if is_place and int(number) < count else None
