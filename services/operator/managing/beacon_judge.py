"""Whether the beacon chain would do what is asked for: so must say all nodes that have seen the block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from dvtfast.networks import Network

from ...chain.beacon.client import BeaconClient, BeaconError
from ...chain.execution.node import Block
from ..plan import NotReadyError
from ..progress import ProgressReport
from .beacon_rules import SHOWN_PROBLEMS, BeaconRules
from .beacon_view import BeaconView, look_at

LOOKS_PER_SLOT: Final = 4  # at a beacon node that has not seen the latest block
BEHIND_LOOKS: Final = 4 * LOOKS_PER_SLOT  # before it is an error


@dataclass(frozen=True)
class BeaconJudge:
    """Judges what is asked for validators of a vault.

    Attributes:
        max_balance_gwei: of a validator that gets stake.
    """

    beacon: BeaconClient
    network: Network
    vault: bytes
    max_balance_gwei: int
    report: ProgressReport

    async def judged(
        self,
        keys: Sequence[bytes],
        head: Block,
        judge: Callable[[BeaconRules], list[str]],
        *,
        with_additions: bool = False,
    ) -> BeaconView:
        """What the beacon chain knows of these validators, of which nothing is against what is asked for.

        So must say all nodes that have seen the block, so that none that lies makes it cost anything.
        """
        keys = list(map(bytes, keys))
        rules = await self._rules(keys, head, with_additions=with_additions)
        _require(judge(rules))
        nodes = self.beacon.each_alone()
        if len(nodes) == 1:
            return rules.view

        async def of(one: BeaconClient) -> list[str]:
            try:
                view = await look_at(
                    one, rules.network, keys, with_additions=with_additions, since=head.timestamp
                )
            except BeaconError:
                return []
            found = judge(replace(rules, view=view)) if view.block_number >= head.number else []
            return [f"{problem}, as {one.names} says, and others do not" for problem in found]

        for problems in await asyncio.gather(*map(of, nodes)):
            _require(problems)
        return rules.view

    async def _rules(
        self, keys: Sequence[bytes], head: Block, *, with_additions: bool = False
    ) -> BeaconRules:
        """What the beacon chain would do with these validators, as it is now.

        What was asked for in a block that it has not seen may have changed that.
        """
        self.report("looking at the beacon chain")
        look = partial(look_at, self.beacon, self.network, keys, with_additions=with_additions)
        view, looks = await look(), 0
        while view.block_number < head.number:
            if looks == BEHIND_LOOKS:
                raise NotReadyError(
                    f"{self.beacon.names}: the beacon chain has seen block {view.block_number}, the execution"
                    f" node {head.number}: one of them is behind, or on another chain"
                )
            looks += 1
            await asyncio.sleep(self.network.seconds_per_slot / LOOKS_PER_SLOT)
            with suppress(BeaconError):  # no other node is so far either
                view = await look(since=head.timestamp)
        return BeaconRules(view, self.network, self.vault, self.max_balance_gwei)


def _require(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        named = [*problems[:SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        raise NotReadyError("the beacon chain would not do it: " + "; ".join(named))
