"""Who tells the next validator index: the deposits, beacon nodes, both, which must agree, or somebody."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from dvtfast import Network

from ..beacon.client import BeaconClient
from ..execution.node import NodeClient
from ..index_source import NextIndex
from .agreed_index import AgreedIndex, AgreedNodes

if TYPE_CHECKING:
    from ..deposits.scan import DepositScan


class GivenIndex:
    """An index that somebody said; used keys are known to another source, if there is one."""

    def __init__(self, index: int, others: NextIndex | None = None) -> None:
        self._index = index
        self._others = others

    async def next_index(self, *, since: int = 0) -> int:
        """The one given."""
        return self._index

    async def used(self, public_keys: Collection[bytes], *, since: int = 0) -> set[bytes]:
        """As far as anybody knows."""
        return set() if self._others is None else await self._others.used(public_keys, since=since)


def choose_index_source(
    *,
    network: Network,
    scan: DepositScan | None = None,
    beacon: BeaconClient | None = None,
    node: NodeClient | None = None,
    start_index: int | None = None,
    threads: int | None = None,
) -> NextIndex | None:
    """The source that these come to; None where they come to none.

    A given index goes before all others. A scan and beacon nodes must agree, each of the latter. Where
    deposits alone do not give the index, as on hoodi without a dump, the beacon nodes alone do.

    Args:
        scan, beacon, node: inside their own contexts; what the execution node has that the beacon node has
            not seen is counted in.
    """
    sources: list[NextIndex] = []
    if scan is not None and (beacon is None or scan.gives_index):
        sources.append(scan)
    if beacon is not None:
        from .by_beacon import BeaconIndex  # needs the extra `chain`

        told = {
            each.names: BeaconIndex(each, node, network=network, threads=threads)
            for each in beacon.each_alone()
        }
        sources.append(AgreedNodes(told, beacon.awake) if len(told) > 1 else next(iter(told.values())))
    nodes = tuple(f"{kind}: {each.names}" for kind, each in (("execution", node), ("beacon", beacon)) if each)
    found = AgreedIndex(*sources, nodes=nodes) if len(sources) == 2 else next(iter(sources), None)
    return found if start_index is None else GivenIndex(start_index, found)
