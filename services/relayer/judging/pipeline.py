"""Works through the messages that are due: judged in batches, written down, logged.

Rounds have a task of their own, which does no more than to recover and to verify. What takes a closer look,
a search for bad shares or a rotation, goes on beside it in pieces, between which a round has the thread.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from time import perf_counter, time
from typing import TypeVar
from uuid import uuid4

from dvtfast.protocol_config import OracleConfig
from dvtfast.recovery import MAX_SUBSETS

from ...process import logs
from ...process.offload import StoppedError, UnavailableError, Workers
from ..clusters.announced import Claimed
from ..clusters.served import Group, ServedClusters
from ..metrics import RelayerMetrics
from ..store.engine.database import Database
from ..store.judging.leases import LEASE_SECONDS, give_back, renew, seconds_until_free
from ..store.judging.rotation import (
    RecoveredExit,
    exits_to_rotate,
    hand_out_rotation,
    lease_to_split_anew,
    replace_oracle_shares,
    require_rotation,
)
from ..store.judging.verdicts import (
    DueMessage,
    HeldShare,
    Place,
    SplitExit,
    Verdicts,
    earlier_messages,
    lease_arrived,
    lease_due,
    lease_unverified,
    record,
)
from ..store.nodes.announced_shares import agreed_claims
from ..store.operators.handouts import AskedValidator
from ..store.operators.pending import Asker
from ..store.tables import MessageStatus
from .culprits import Culprits
from .current_oracles import CurrentOracles
from .judge import Candidate, Judge, Judged, Steps
from .suspects import Suspects

BATCH_MESSAGES = 512
SEARCHED_MESSAGES = 64  # in a batch where bad shares are searched for, which is not cut short
FIRST_PAUSE_SECONDS = 1.0  # after a failure; doubled by each further one
LONGEST_PAUSE_SECONDS = 30.0
IDLE_SECONDS = 1.0  # during which nothing was due, before shares of ready messages are verified; each time
VERIFIED_MESSAGES = 64  # at a time
SEARCHED_STATUSES = (MessageStatus.TO_SEARCH, MessageStatus.UNDECIDED)
ROTATED_TOGETHER = 128  # so that a round waits some tens of milliseconds for them
RENEW_SECONDS = LEASE_SECONDS / 4  # between two renewals of what is worked on

T = TypeVar("T")

log = logs.get("pipeline")


class Pipeline:
    """Makes messages ready as soon as they are due, one batch at a time."""

    def __init__(
        self,
        database: Database,
        clusters: ServedClusters,
        judge: Judge,
        oracles: CurrentOracles,
        metrics: RelayerMetrics,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._judge = judge
        self._oracles = oracles
        self._metrics = metrics
        self._workers = Workers("crypto", threads=1, deadline_seconds=None, gives_way=True)
        metrics.watch(self._workers)
        self._suspects = Suspects()
        self._culprits = Culprits()
        self._arrived: Place = (0, 0)  # so far shares of suspects are checked
        self._searched = SEARCHED_MESSAGES
        self._verified: Place = (0, 0)  # so far the shares of ready messages are verified
        self._holder = uuid4().bytes
        self._woken = asyncio.Event()  # for rounds
        self._looking = asyncio.Event()  # for what is done beside them
        self._rounds_came = False
        self._idle_at: float | None = None  # when to do what is not urgent; None when there is nothing
        self._may_be_split_for_others = True  # exits that are wanted, for other oracles than those of now
        self._stopping = asyncio.Event()
        self._rotating = asyncio.Lock()

    def wake(self) -> None:
        """Something may be due: other messages are wanted now, or other oracles."""
        self._may_be_split_for_others = True
        self._woken.set()
        self._looking.set()

    def wake_for_shares(self) -> None:
        """Something may be due, since shares came."""
        self._woken.set()
        self._looking.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work inside the block; at its end the round under way is finished, the rest stays due."""
        self._database.when_others_change(self.wake)
        tasks = [
            asyncio.create_task(self._keep_at(self._judge_rounds, self._woken)),
            asyncio.create_task(self._keep_at(self._look_closer, self._looking)),
        ]
        self.wake()
        try:
            yield
        finally:
            self._stopping.set()
            self._woken.set()
            self._looking.set()
            await asyncio.gather(*tasks)
            self._culprits.report()
            await self._workers.close()
            try:
                await self._database.run(give_back, self._holder)
            except (UnavailableError, TimeoutError) as error:
                log.warning("leases not given back, they end by themselves", error=str(error))

    async def _keep_at(self, turn: Callable[[], Awaitable[float | None]], woken: asyncio.Event) -> None:
        """Take a turn when woken, and at the time that the last one said; after a pause when one failed."""
        pause = FIRST_PAUSE_SECONDS
        next_at: float | None = None
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_at):
                    await woken.wait()
            woken.clear()
            try:
                next_at = await turn()
                pause = FIRST_PAUSE_SECONDS
            except StoppedError:
                return
            except Exception as error:
                self._metrics.batch_failed("unavailable" if isinstance(error, UnavailableError) else "error")
                if isinstance(error, UnavailableError):  # the database, which may be back at any time
                    pause = FIRST_PAUSE_SECONDS
                    log.warning("batch put off", error=str(error), retry_in_seconds=pause)
                else:
                    log.exception("batch failed", retry_in_seconds=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self.wake()

    async def _judge_rounds(self) -> None:
        """Judge what is due, and leave what needs a closer look to it."""
        while not self._stopping.is_set():
            due = await self._lease(MessageStatus.DUE, BATCH_MESSAGES)
            if not due:
                return
            await self._process_all(due, None)
            self._rounds_came = True
            self._looking.set()

    async def _look_closer(self) -> float | None:
        """Do what is not urgent, and what is still less urgent after a while without any of it; when to look
        again."""
        now = asyncio.get_running_loop().time
        rounds_came, self._rounds_came = self._rounds_came, False
        if await self._work_through() or rounds_came or self._idle_at is None:
            self._idle_at = now() + IDLE_SECONDS
        elif now() >= self._idle_at:
            self._culprits.report()
            verified = await self._verify_some()
            self._may_be_split_for_others = True  # by somebody who gave up
            quiet = IDLE_SECONDS if verified else await self._seconds_until_others_give_up()
            self._idle_at = None if quiet is None else now() + quiet
        return self._idle_at

    async def _seconds_until_others_give_up(self) -> float | None:
        """When to look again for what another relayer is at, which may be dead; None when there is none."""
        if not self._database.is_shared:
            return None
        return await self._database.read(seconds_until_free, self._holder)

    @asynccontextmanager
    async def _holding(self, message_ids: Collection[int]) -> AsyncIterator[None]:
        """Renew the leases inside the block."""
        if not self._database.is_shared:
            yield
            return
        renewing = asyncio.create_task(self._renew(message_ids))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, message_ids: Collection[int]) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._database.run(renew, self._holder, message_ids)
            except (UnavailableError, TimeoutError) as error:
                log.warning("leases not renewed", error=str(error))

    def _is_served(self, public_key: bytes) -> bool:
        return self._clusters.group_of(public_key) is not None

    def _knows_key_shares(self, public_key: bytes) -> bool:
        group = self._clusters.group_of(public_key)
        return group is not None and group.knows_key_shares

    async def _work_through(self) -> bool:
        """Judge what needs a closer look, and split exits anew; whether there was anything.

        The messages of a batch share the attempts that one of them may need. Those that do not come to an
        end together are searched one by one.
        """
        worked = False
        while not self._stopping.is_set():
            if self._culprits.waited_long:
                self._culprits.report()
            if await self._check_arrived():
                worked = True
            elif hard := await self._lease(MessageStatus.TO_SEARCH, self._searched):
                worked = True
                await self._process_all(hard, MAX_SUBSETS // self._searched)
            elif await self._split_some_anew():
                worked = True
            else:
                break
        return worked

    async def _process_all(self, messages: Sequence[DueMessage], max_subsets: int | None) -> None:
        async with self._holding([message.id for message in messages]):
            for group, of_group in self._by_group(messages).items():
                if not self._stopping.is_set():
                    await self._process(group, of_group, max_subsets)

    async def _lease(self, status: MessageStatus, limit: int) -> list[DueMessage]:
        return await self._database.run(lease_due, self._holder, status, limit, self._is_served)

    def _by_group(self, messages: Sequence[DueMessage]) -> dict[Group, list[DueMessage]]:
        groups: defaultdict[Group, list[DueMessage]] = defaultdict(list)
        for message in messages:
            group = self._clusters.group_of(message.public_key)
            assert group is not None, "what is not served is not leased"
            groups[group].append(message)
        return groups

    async def rotate(self, vault: bytes, indices: Mapping[bytes, int], asker: Asker) -> list[AskedValidator]:
        """The exits of a vault's validators at these indices, split for the oracles of now; handed out from
        now on.

        What is not recovered is collected, and comes with a later call. It is done in pieces, of all
        rotations one at a time, between which rounds go on, and others have the database.

        Raises:
            ReservedError, AskedByOthersError: as of `exits_to_rotate`; nothing is done then.
            TooManyPendingError, TooManyMovesError: the same, perhaps of a part; the others are done.
        """
        oracles, digest = self._oracles.config, self._oracles.digest
        await self._database.read(require_rotation, vault, indices, int(time()))
        rotated: list[AskedValidator] = []
        keys = iter(indices)
        while some := {key: indices[key] for key in islice(keys, ROTATED_TOGETHER)}:
            async with self._rotating:
                exits = await self._database.run(
                    exits_to_rotate, vault, some, digest, int(time()), asker=asker
                )
                split = await self._split(exits, oracles)
                of_key = {exit_.public_key: split[exit_.id] for exit_ in exits}
                rotated += await self._database.run(hand_out_rotation, some, of_key, digest, int(time()))
            self.wake()
        return rotated

    async def _split_some_anew(self) -> bool:
        """Split exits for the oracles of now that were split for others; whether there were any."""
        if not self._may_be_split_for_others:
            return False
        self._may_be_split_for_others = False
        oracles, digest = self._oracles.config, self._oracles.digest
        exits = await self._database.run(
            lease_to_split_anew, self._holder, digest, BATCH_MESSAGES, self._is_served
        )
        if exits:
            async with self._holding([exit_.id for exit_ in exits]):
                split = await self._split(exits, oracles)
                await self._database.run(replace_oracle_shares, self._holder, split, digest, int(time()))
            log.info("split anew", n=len(exits))
            self._may_be_split_for_others = True  # more than one batch
        return bool(exits)

    async def _split(self, exits: Sequence[RecoveredExit], oracles: OracleConfig) -> dict[int, SplitExit]:
        recovered = [(exit_.public_key, exit_.validator_index, exit_.signature) for exit_ in exits]
        split = await self._workers.run_in_pieces(self._judge.split, recovered, oracles)
        return {exit_.id: shares for exit_, shares in zip(exits, split, strict=True)}

    async def _verify_some(self) -> bool:
        """Verify shares that no message needed any more, to name bad ones; whether there were any."""
        ready = await self._database.run(
            lease_unverified, self._holder, self._verified, VERIFIED_MESSAGES, self._is_served
        )
        ids = [message.id for message in ready]
        async with self._holding(ids):
            for group, of_group in self._by_group(ready).items():
                await self._check_all(group, of_group)
        if ready:
            await self._database.run(give_back, self._holder, ids)
            self._verified = ready[-1].revision, ready[-1].id
        return bool(ready)

    async def _check_all(self, group: Group, messages: Sequence[DueMessage]) -> None:
        if group.knows_key_shares:
            judged = await self._beside_rounds(self._judge.check, group, messages)
            await self._conclude(group, messages, judged, self._oracles.digest)
        elif (claimed := await self._claimed(group, messages)) is not None:
            await self._check_all(claimed, [m for m in messages if m.public_key in claimed.keys])

    async def _check_arrived(self) -> bool:
        """Check shares of suspects whose messages wait for others; whether there were any."""
        suspects = self._suspects.of_known()
        if not suspects:
            return False
        arrived = await self._database.run(
            lease_arrived, self._holder, self._arrived, suspects, BATCH_MESSAGES, self._knows_key_shares
        )
        ids = [message.id for message in arrived]
        async with self._holding(ids):
            for group, of_group in self._by_group(arrived).items():
                suspects = self._suspects.of(group)
                judged = await self._beside_rounds(self._judge.check, group, of_group, suspects)
                if judged.good or judged.bad:
                    await self._conclude(group, of_group, judged, self._oracles.digest)
        if arrived:
            self._arrived = max(self._arrived, (arrived[-1].revision, arrived[-1].id))
            await self._database.run(give_back, self._holder, ids)
        return bool(arrived)

    async def _claimed(self, group: Group, messages: Sequence[DueMessage]) -> Claimed | None:
        """Those of these validators whose nodes agree on their public key shares."""
        keys = {message.public_key for message in messages}
        claims = await self._database.read(agreed_claims, keys, group.threshold)
        return await self._workers.run(self._judge.proven, group, claims) if claims else None

    async def _process_claimed(self, group: Group, messages: Sequence[DueMessage]) -> set[int]:
        """Judge those whose validators' public key shares are known by claims; their ids."""
        claimed = await self._claimed(group, messages) if messages else None
        if claimed is None:
            return set()
        of_claimed = [message for message in messages if message.public_key in claimed.keys]
        await self._process(claimed, of_claimed, 0)
        return {message.id for message in of_claimed}

    async def _beside_rounds(self, function: Callable[..., Steps[T]], *args: object) -> T:
        """Call this on the thread of the rounds, which come between its steps; not to the end if we stop."""
        return await self._workers.run_in_pieces(function, *args, stop=self._stopping.is_set)

    async def _process(self, group: Group, due: Sequence[DueMessage], max_subsets: int | None) -> None:
        """Judge messages of a group, with a closer look unless `max_subsets` is None."""
        suspects = self._suspects.of(group)
        oracles, digest = self._oracles.config, self._oracles.digest
        if max_subsets is None:
            judged = await self._workers.run_in_pieces(self._judge.judge, group, due, oracles, suspects, None)
            await self._conclude(group, due, judged, digest)
            return
        if not group.knows_key_shares:
            suspected = [m for m in due if any(share.share_index in suspects for share in m.shares)]
            done = await self._process_claimed(group, suspected)
            due = [message for message in due if message.id not in done]
            if not due:
                return
        judged = await self._beside_rounds(self._judge.judge, group, due, oracles, suspects, max_subsets)
        if max_subsets and judged.not_ready[MessageStatus.TO_SEARCH]:
            self._searched = 1
        elif max_subsets and judged.ready:
            self._searched = min(2 * self._searched, SEARCHED_MESSAGES)
        if not group.knows_key_shares:
            failed = [m for status in SEARCHED_STATUSES for m in judged.not_ready[status]]
            judged = judged.without(await self._process_claimed(group, failed))
        await self._conclude(group, due, judged, digest)

    async def _conclude(
        self, group: Group, messages: Sequence[DueMessage], judged: Judged, config_digest: bytes
    ) -> None:
        verdicts = await self._verdicts(group, judged)
        begin = perf_counter()
        await self._database.run(
            record,
            self._holder,
            verdicts,
            config_digest=config_digest,
            threshold_of=self._clusters.threshold_of,
            now=int(time()),
        )
        judged.seconds["database"] = perf_counter() - begin
        if self._suspects.note(group, judged.good_counts, {s.share_index for s in verdicts.rejected}):
            self._arrived = 0, 0
        self._metrics.judged(group.name, len(messages), judged, verdicts)
        _log_batch(group, messages, judged, verdicts)
        self._culprits.note(group, messages, verdicts.rejected)

    async def _verdicts(self, group: Group, judged: Judged) -> Verdicts:
        """What to do about the shares that do not fit.

        Who does not say which message a share is for may have made it for an earlier one. Where public
        key shares are known this is tried. Where not, nobody can tell, so such a share of a validator
        that has moved is never called bad but set aside: its sender is asked again.
        """
        verdicts = Verdicts(ready=judged.ready, not_ready=judged.not_ready)
        verdicts.verified = [HeldShare(message.id, share.share_index) for message, share in judged.good]
        unnamed = [(message, share) for message, share in judged.bad if not share.for_this_message]
        earlier = await self._database.read(earlier_messages, {e.id: e for e, _ in unnamed}.values())
        candidates = [
            Candidate(message.public_key, share, other)
            for message, share in unnamed
            for other in earlier[message.id]
        ]
        fitting = await self._beside_rounds(self._judge.fitting, group, candidates) if candidates else []
        late = {(c.public_key, c.share): c.earlier for c in fitting}
        for message, share in judged.bad:
            place = HeldShare(message.id, share.share_index)
            if (message.public_key, share) in late:
                verdicts.late[place] = late[message.public_key, share]
            elif group.knows_key_shares or share.for_this_message or not earlier[message.id]:
                verdicts.rejected.append(place)
            else:
                verdicts.set_aside.add(place)
        return verdicts


def _log_batch(group: Group, messages: Sequence[DueMessage], judged: Judged, verdicts: Verdicts) -> None:
    log.info(
        "batch",
        cluster=group.name,
        n=len(messages),
        ready=len(verdicts.ready),
        to_search=len(judged.not_ready[MessageStatus.TO_SEARCH]),
        undecided=len(judged.not_ready[MessageStatus.UNDECIDED]),
        verified_shares=len(verdicts.verified),
        closer_looks=judged.closer_looks,
        bad_shares=len(verdicts.rejected),
        late_shares=len(verdicts.late),
        shares_set_aside=len(verdicts.set_aside),
        **{f"{stage}_seconds": round(seconds, 4) for stage, seconds in judged.seconds.items()},
    )
