"""What must be so whatever the network and the liars do: the laws of consensus, checked as things happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dvtfast.qbft.held import MOST_HELD
from dvtfast.qbft.justification import is_justified
from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Decided, Duty, Kind, Message
from dvtfast.qbft.quorums import quorum


class Laws:
    """Of one duty.

    Attributes:
        decisions: of honest nodes.
        seen: what happened, by name.
    """

    def __init__(self, duty: Duty, nodes: int, honest: Iterable[int]) -> None:
        self._duty, self._nodes, self._honest = duty, nodes, frozenset(honest)
        self._said: dict[tuple[int, Kind, int], Message] = {}
        self.decisions: dict[int, Decided] = {}
        self.seen: Counter[str] = Counter()

    @property
    def all_have_decided(self) -> bool:
        return self.decisions.keys() == self._honest

    def says(self, peer: int, message: Message) -> None:
        """What an honest node says is its own, is said once, is justified, and not too long."""
        assert (message.peer, message.duty) == (peer, self._duty)
        assert self._said.setdefault((peer, message.kind, message.round), message) is message
        assert is_justified(message, self._nodes)
        assert len(message.justification) <= 2 * self._nodes
        for each in message.justification:
            assert not each.justification
            self._is_genuine(each)
        if message.kind == Kind.PRE_PREPARE and message.round > 1:
            prepared = any(each.kind == Kind.PREPARE for each in message.justification)
            self.seen["proposed again" if prepared else "proposed later"] += 1
        if message.kind == Kind.ROUND_CHANGE and message.prepared_round:
            self.seen["changed with something prepared"] += 1

    def decides(self, peer: int, decision: Decided) -> None:
        """Agreement; once; and no decision without a quorum."""
        assert peer in self._honest
        assert peer not in self.decisions, "a node decides once"
        for other in self.decisions.values():
            assert other.value_hash == decision.value_hash, "agreement"
        self.decisions[peer] = decision
        assert len({each.peer for each in decision.commits}) >= quorum(self._nodes), "no quorum"
        for each in decision.commits:
            found = each.kind, each.round, each.value_hash
            assert found == (Kind.COMMIT, decision.round, decision.value_hash)
            self._is_genuine(each)

    def holds(self, machine: Machine) -> None:
        """Memory is bounded."""
        assert machine.held_count <= MOST_HELD * self._nodes
        # What liars alone speak of is not kept, but for a proposal, and what is prepared with their help.
        assert len(machine.values_in_use()) <= 2 * self._nodes + 2

    def ends(self, proposed: Iterable[bytes]) -> None:
        """Validity: what is decided was somebody's value."""
        assert self.all_have_decided
        assert {decision.value_hash for decision in self.decisions.values()} <= set(proposed), "validity"
        rounds = {decision.round for decision in self.decisions.values()}
        self.seen["decided in round 1" if rounds == {1} else "decided later"] += 1
        self.seen["decided in different rounds"] += len(rounds) > 1

    def _is_genuine(self, message: Message) -> None:
        if message.peer in self._honest:
            assert self._said[message.peer, message.kind, message.round].bare() == message
