"""Works through the exits that are due: judged in batches, written down, logged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter, time

from dvtfast.recovery import MAX_SUBSETS

from .. import logs, wire
from ..offload import Workers
from .clusters import Group, ServedClusters
from .judge import Candidate, Judge, Judged
from .store.database import Database
from .store.tables import ExitStatus
from .store.verdicts import (
    DueExit,
    HeldShare,
    Place,
    Verdicts,
    due_exits,
    earlier_exits,
    record,
    unverified_exits,
)

BATCH_EXITS = 512
SEARCHED_EXITS = 64  # in a batch where bad shares are searched for, which is not cut short
FIRST_PAUSE_SECONDS = 1.0  # after a failure; doubled by each further one
LONGEST_PAUSE_SECONDS = 30.0
IDLE_SECONDS = 1.0  # during which nothing was due, before shares of ready exits are verified; each time
VERIFIED_EXITS = 128  # at a time
SHOWN_VALIDATORS = 32  # in a line about bad shares; GET /exits has all of them

log = logs.get("pipeline")


class Pipeline:
    """Makes exits ready as soon as they are due, one batch at a time."""

    def __init__(
        self, database: Database, clusters: ServedClusters, judge: Judge, *, config_digest: bytes
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._judge = judge
        self._config_digest = config_digest
        self._workers = Workers("crypto", threads=1, deadline_seconds=None)
        self._suspects: defaultdict[Group, set[int]] = defaultdict(set)  # share indices
        self._searched_exits = SEARCHED_EXITS
        self._verified: Place = (0, 0)  # so far the shares of ready exits are verified
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work inside the block; at its end the batch under way is finished, the rest stays due."""
        task = asyncio.create_task(self._run())
        self.wake()
        try:
            yield
        finally:
            self._stopping.set()
            self.wake()
            await task
            await self._workers.close()

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        now = asyncio.get_running_loop().time
        idle_at: float | None = None  # when to do what is not urgent; None when there is nothing
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(idle_at):
                    await self._woken.wait()
            self._woken.clear()
            try:
                if await self._work_through() or idle_at is None:
                    idle_at = now() + IDLE_SECONDS
                elif now() >= idle_at:
                    idle_at = now() + IDLE_SECONDS if await self._verify_some() else None
                pause = FIRST_PAUSE_SECONDS
            except Exception:
                log.exception("batch failed", retry_in_seconds=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                self._woken.set()

    async def _work_through(self) -> bool:
        """Judge what is due, and search for bad shares while nothing is due; whether there was anything.

        The exits of a batch share the attempts that one of them may need. Those that do not come to an
        end together are searched one by one.
        """
        worked = False
        while not self._stopping.is_set():
            due, max_subsets = await self._database.run(due_exits, ExitStatus.DUE, BATCH_EXITS), 0
            if not due:
                due = await self._database.run(due_exits, ExitStatus.TO_SEARCH, self._searched_exits)
                max_subsets = MAX_SUBSETS // self._searched_exits
            if not due:
                break
            worked = True
            groups: defaultdict[Group, list[DueExit]] = defaultdict(list)
            for exit_ in due:
                group = self._clusters.group_of(exit_.public_key)
                assert group is not None, "an exit that is not served is never due"
                groups[group].append(exit_)
            for group, exits in groups.items():
                if not self._stopping.is_set():
                    await self._process(group, exits, max_subsets)
        return worked

    async def _verify_some(self) -> bool:
        """Verify shares that no exit needed any more, so that a bad one is named; whether there were any."""
        exits = await self._database.run(unverified_exits, self._verified, VERIFIED_EXITS)
        groups: defaultdict[Group, list[DueExit]] = defaultdict(list)
        for exit_ in exits:
            group = self._clusters.group_of(exit_.public_key)
            if group is not None and group.knows_key_shares:
                groups[group].append(exit_)
        for group, of_group in groups.items():
            judged = await self._workers.run(self._judge.verify, group, of_group)
            await self._conclude(group, of_group, judged)
        if exits:
            self._verified = exits[-1].revision, exits[-1].id
        return bool(exits)

    async def _process(self, group: Group, due: Sequence[DueExit], max_subsets: int) -> None:
        suspects = frozenset(self._suspects[group])
        judged = await self._workers.run(self._judge.judge, group, due, suspects, max_subsets)
        if max_subsets and judged.not_ready[ExitStatus.TO_SEARCH]:
            self._searched_exits = 1
        elif max_subsets and judged.ready:
            self._searched_exits = min(2 * self._searched_exits, SEARCHED_EXITS)
        await self._conclude(group, due, judged)

    async def _conclude(self, group: Group, exits: Sequence[DueExit], judged: Judged) -> None:
        verdicts = await self._verdicts(group, judged)
        begin = perf_counter()
        await self._database.run(
            record,
            verdicts,
            config_digest=self._config_digest,
            threshold_of=self._clusters.threshold_of,
            now=int(time()),
        )
        judged.seconds["database"] = perf_counter() - begin
        self._suspects[group] -= judged.good_indices
        self._suspects[group] |= {share.share_index for share in verdicts.rejected}
        _log_batch(group, exits, judged, verdicts)

    async def _verdicts(self, group: Group, judged: Judged) -> Verdicts:
        """What to do about the shares that do not fit.

        Who does not say which exit a share is for may have made it for an earlier one. Where public
        key shares are known this is tried. Where not, nobody can tell, so such a share of a validator
        that has moved is never called bad but set aside: its sender is asked again.
        """
        verdicts = Verdicts(ready=judged.ready, not_ready=judged.not_ready)
        verdicts.verified = [HeldShare(exit_.id, share.share_index) for exit_, share in judged.good]
        unnamed = [(exit_, share) for exit_, share in judged.bad if not share.for_this_exit]
        earlier = await self._database.run(earlier_exits, {e.id: e for e, _ in unnamed}.values())
        candidates = [
            Candidate(exit_.public_key, share, other)
            for exit_, share in unnamed
            for other in earlier[exit_.id]
        ]
        fitting = await self._workers.run(self._judge.fitting, group, candidates)
        late = {(c.public_key, c.share): c.earlier for c in fitting}
        for exit_, share in judged.bad:
            place = HeldShare(exit_.id, share.share_index)
            if (exit_.public_key, share) in late:
                verdicts.late[place] = late[exit_.public_key, share]
            elif group.knows_key_shares or share.for_this_exit or not earlier[exit_.id]:
                verdicts.rejected.append(place)
            else:
                verdicts.set_aside.add(place)
        return verdicts


def _log_batch(group: Group, exits: Sequence[DueExit], judged: Judged, verdicts: Verdicts) -> None:
    log.info(
        "batch",
        cluster=group.name,
        n=len(exits),
        ready=len(verdicts.ready),
        to_search=len(judged.not_ready[ExitStatus.TO_SEARCH]),
        undecided=len(judged.not_ready[ExitStatus.UNDECIDED]),
        verified_shares=len(verdicts.verified),
        bad_shares=len(verdicts.rejected),
        late_shares=len(verdicts.late),
        shares_set_aside=len(verdicts.set_aside),
        **{f"{stage}_seconds": round(seconds, 4) for stage, seconds in judged.seconds.items()},
    )
    keys = {exit_.id: exit_.public_key for exit_ in exits}
    culprits: defaultdict[int, list[bytes]] = defaultdict(list)
    for share in verdicts.rejected:
        culprits[share.share_index].append(keys[share.exit_id])
    for share_index, of_index in sorted(culprits.items()):
        log.warning(
            "bad shares",
            cluster=group.name,
            share_index=share_index,
            count=len(of_index),
            validators=[wire.PublicKey(key).to_wire() for key in of_index[:SHOWN_VALIDATORS]],
        )
