"""What `dvtfast operator run` counts, and what its `/healthz` says."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

from dvtfast.networks import network_with_chain_id

from ...chain.units import WEI_PER_TOKEN
from ...web.metrics import ServiceMetrics
from ..sending.action import ActionKind, JournalEntry, Outcome


class OperatorMetrics(ServiceMetrics):
    """The counters of one process."""

    def __init__(self) -> None:
        super().__init__("dvtfast_operator")
        self.registered = self.counter("registered_validators", "Validators that were registered.")
        self.actions = self.counter("actions", "Actions that were concluded.", "outcome")
        self.fees = self.counter("fees", "What was paid for gas.", "token")
        self.rotated = self.counter("rotated_exits", "Exits that were given to the oracles of today.")
        self.left_out = self.gauge("exits_left_out", "Exits that the oracles want, and the relayer lacks.")
        self.failures = self.counter("failures", "Looks that came to nothing, by whose part it was.", "kind")
        self.withdrawable = self.gauge("withdrawable", "What the vault had at the last look.", "token")
        self.open = self.gauge("open_actions", "Actions that have no conclusion yet.")
        self._looked_at: float | None = None

    def looked(self) -> None:
        """A look at the vault came to an end."""
        self._looked_at = monotonic()

    def concluded(self, entry: JournalEntry) -> None:
        """An action was concluded; what counted when it was before, in vain, does not count again."""
        conclusion, before = entry.conclusion, [each.conclusion for each in entry.reopenings]
        assert conclusion is not None
        self.actions.labels(conclusion.outcome.value).inc()
        symbol = network_with_chain_id(entry.chain_id).gas_symbol
        paid_before = max((each.fee_wei for each in before), default=0)
        self.fees.labels(symbol).inc(max(conclusion.fee_wei - paid_before, 0) / WEI_PER_TOKEN)
        if conclusion.outcome is Outcome.DONE and all(each.outcome is not Outcome.DONE for each in before):
            counter = {ActionKind.REGISTER: self.registered, ActionKind.UPDATE_EXITS: self.rotated}.get(
                entry.action.kind
            )
            if counter is not None:
                counter.inc(len(entry.action.public_keys))

    def health(self) -> Mapping[str, Any]:
        """How long ago a look at the vault came to an end; None when none did yet."""
        at = self._looked_at
        return {"seconds_since_look": None if at is None else round(monotonic() - at, 1)}
