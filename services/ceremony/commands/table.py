"""Where a ceremony is: a table that lives on a terminal, log lines elsewhere."""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dvtfast.dkg.outputs import Phase

from ...p2p.host import Host
from ...process import logs
from ..definition import ClusterAgreement

PER_SECOND = 4

log = logs.get("ceremony")


class CeremonyTable:
    """Who is there, and what is waited for, as a context manager.

    Attributes:
        seconds: that each step took so far, by name.
    """

    def __init__(self, agreement: ClusterAgreement, position: int, host: Host) -> None:
        self.seconds: dict[str, float] = {}
        self._agreement, self._position, self._host = agreement, position, host
        self._phase, self._since = Phase(""), monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._live = Live(
                get_renderable=self._table,
                console=Console(stderr=True),
                refresh_per_second=PER_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Show nothing more."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def phase(self, phase: Phase) -> None:
        """The ceremony is there now."""
        now = monotonic()
        if self._phase.name:
            before = self.seconds.get(self._phase.name, 0.0)
            self.seconds[self._phase.name] = before + now - self._since
        is_next = phase.name != self._phase.name
        self._phase, self._since = phase, now
        if self._live is None:
            waits = ", ".join(map(str, phase.missing))
            (log.info if is_next else log.debug)("step", name=phase.name, waits_for=waits)

    def _table(self) -> Table:
        definition = self._agreement.definition
        title = logs.printable(definition.name or "cluster")
        table = Table(title=Text(f"{title}: {self._phase.name or 'beginning'}"))
        for title in ("node", "connection", "program", "step"):
            table.add_column(title)
        states = {state.key: state for state in self._host.states()}
        for position, key in enumerate(self._agreement.node_keys):
            waited_for = "waited for" if position in self._phase.missing else "there"
            state = states.get(key)
            if state is None:
                table.add_row(f"{position} (this)", "", "dvtfast", waited_for)
                continue
            way = (
                ("through a relay" if state.is_relayed else "direct") if state.is_connected else state.problem
            )
            # What peers say is text: brackets in it would be markup, and an error where they do not match.
            said = (Text(logs.printable(each)) for each in (way, state.agent))
            table.add_row(str(position), *said, waited_for)
        return table
