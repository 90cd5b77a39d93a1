"""One node's part in one duty, as in the paper.

    PRE-PREPARE   the leader of the round proposes a value
    PREPARE       all say that they have seen the proposal         a quorum: the value is prepared
    COMMIT        all say that they know it to be prepared         a quorum: the value is decided
    ROUND-CHANGE  the round was too long: on to the next leader, who must propose what may be decided already
    DECIDED       a node that is late learns what the others agreed on

In a round a node sends each of them once at most, and rounds only grow. Where charon would wait this does
not, and agrees on nothing else for it: COMMITs count in any round, not in the node's own only, as a quorum of
them is what DECIDED proves itself with; what came before a round began is looked at when it begins; a node
that has decided answers those that have not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from dvtfast.errors import InputError
from dvtfast.qbft.held import LASTING, Held
from dvtfast.qbft.justification import commits_of, is_justified
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.messages import (
    FIRST_ROUND,
    Broadcast,
    Decided,
    Duty,
    Kind,
    Message,
    Outputs,
    Reply,
    SetTimer,
)
from dvtfast.qbft.quorums import by_value, faulty, quorum

MOST_REPLIES: Final = 16  # to one node that is late, as charon has it
MOST_JUSTIFICATIONS: Final = 2  # of a message, for each node: a ROUND-CHANGE, and a PREPARE
NONE: Final[tuple[Message, ...]] = ()
# What these come with is needed later.
WITH_JUSTIFICATION: Final = (Kind.ROUND_CHANGE, Kind.DECIDED)


@dataclass(frozen=True)
class _Prepared:
    """A value that a quorum has seen proposed in a round."""

    round: int
    value_hash: bytes
    prepares: tuple[Message, ...]


class Machine:
    """One node of one duty. Every method that takes an event returns what is to be done, in order.

    What it broadcasts comes back to it by `receive`, signed, as from everybody. It trusts `signed` and who a
    message is by, also of those in a justification: signatures were checked before. Nothing else is trusted.

    Args:
        duty: what is agreed on.
        nodes: how many there are.
        peer: which one this is, from 0.

    Attributes:
        round: in which the node is.
        decision: what came of it, once there is something.

    Raises:
        InputError: there is no such node.
    """

    def __init__(self, duty: Duty, nodes: int, peer: int) -> None:
        if not 0 <= peer < nodes:
            raise InputError(f"peer: expected one of {nodes} nodes, got {peer}")
        self._duty, self._nodes, self._peer = duty, nodes, peer
        self.round = FIRST_ROUND
        self.decision: Decided | None = None
        self._started = False
        self._own_value: bytes | None = None
        self._prepared: _Prepared | None = None
        # The last rounds in which this node proposed, prepared and committed.
        self._proposed_in = self._prepared_in = self._committed_in = 0
        self._held = Held(nodes)
        self._replies: Counter[int] = Counter()
        self._out: Outputs = []

    # Events.

    def start(self, value_hash: bytes | None = None) -> Outputs:
        """The duty begins; what came before counts now.

        Args:
            value_hash: what this node would propose; None: it does not know yet, or has nothing.
        """
        if not self._started:
            self._started = True
            self._out.append(SetTimer(self.round))
            for message in sorted(self._held, key=lambda each: each.round, reverse=True):
                self._act(message)
        return self.provide(value_hash)

    def provide(self, value_hash: bytes | None) -> Outputs:
        """What this node would propose is known now; its first word counts."""
        if self._own_value is None:
            self._own_value = value_hash
        self._propose()
        return self._outcome()

    def receive(self, message: Message) -> Outputs:
        """A node says something, this one included; what is of no use is dropped."""
        if not self._fits(message):
            return []
        if self.decision is not None:
            return self._answer(message)
        if message.round < self.round and message.kind not in LASTING:
            return []
        if is_justified(message, self._nodes):
            message = message if message.kind in WITH_JUSTIFICATION else message.bare()
            if self._held.add(message) and self._started:
                self._act(message)
        return self._outcome()

    def timer(self, round: int, *, present: int = FIRST_ROUND) -> Outputs:
        """A round has had its time; if this node is in another one, it means nothing.

        Args:
            round: which one.
            present: of the clock. A node that is late goes there at once, and not through all rounds between.
        """
        if self._started and self.decision is None and round == self.round:
            self._change_round(max(round + 1, present))
        return self._outcome()

    @property
    def held_count(self) -> int:
        """How many messages it holds: at most 100 of each node."""
        return len(self._held)

    def values_in_use(self) -> frozenset[bytes]:
        """Values whose content may still be needed: proposed, prepared, or what f + 1 nodes vote for.

        A value that fewer vote for comes again, with the next vote.
        """
        if self.decision is not None:
            return frozenset({self.decision.value_hash})
        used = set() if self._own_value is None else {self._own_value}
        voters: dict[bytes, set[int]] = {}
        for message in self._held:
            if message.kind in (Kind.PREPARE, Kind.COMMIT) and message.value_hash is not None:
                voters.setdefault(message.value_hash, set()).add(message.peer)
            else:
                used |= message.value_hashes()
        if self._prepared is not None:
            used.add(self._prepared.value_hash)
        return frozenset(
            used | {value for value, nodes in voters.items() if len(nodes) > faulty(self._nodes)}
        )

    # What comes of a message.

    def _fits(self, message: Message) -> bool:
        """Whether it is of this duty and these nodes, and has a form that any message has."""
        given = message.justification
        return len(given) <= MOST_JUSTIFICATIONS * self._nodes and all(
            each.duty == self._duty
            and 0 <= each.peer < self._nodes
            and each.round >= FIRST_ROUND
            and each.prepared_round >= 0
            and (each is message or not each.justification)
            for each in (message, *given)
        )

    def _act(self, message: Message) -> None:
        if self.decision is not None:
            return
        match message.kind:
            case Kind.PRE_PREPARE:
                self._accept(message)
            case Kind.PREPARE:
                self._count_prepares()
            case Kind.COMMIT:
                self._count_commits(message)
            case Kind.ROUND_CHANGE:
                self._count_prepares()
                self._catch_up()
                self._propose()
            case Kind.DECIDED:
                assert message.value_hash is not None
                self._decide(message.value_hash, message.round, commits_of(message))

    def _accept(self, proposal: Message) -> None:
        """A leader proposes: this node says that it has seen it, in each round for one proposal only."""
        if proposal.round < self.round or proposal.round == self._prepared_in:
            return
        if proposal.round > self.round:
            self._enter(proposal.round)
        else:
            self._out.append(SetTimer(self.round, extended=True))
        self._prepared_in = self.round
        self._say(Kind.PREPARE, value_hash=proposal.value_hash)
        self._count_prepares()

    def _count_prepares(self) -> None:
        """A quorum of PREPAREs of this round, as they came or as they justify a ROUND-CHANGE: COMMIT."""
        if self._committed_in == self.round:
            return
        votes = self._held.of_round(Kind.PREPARE, self.round)
        for change in self._held:
            if change.kind == Kind.ROUND_CHANGE and change.prepared_round == self.round:
                votes.extend(change.justification)
        for value_hash, prepares in by_value(votes).items():
            if len(prepares) >= quorum(self._nodes):
                self._prepared = _Prepared(self.round, value_hash, prepares)
                self._committed_in = self.round
                self._say(Kind.COMMIT, value_hash=value_hash)
                return

    def _count_commits(self, message: Message) -> None:
        """A quorum of COMMITs: the value is decided."""
        votes = by_value(self._held.of_round(Kind.COMMIT, message.round))
        assert message.value_hash is not None
        commits = votes[message.value_hash]
        if len(commits) >= quorum(self._nodes):
            self._decide(message.value_hash, message.round, commits)

    def _decide(self, value_hash: bytes, round: int, commits: tuple[Message, ...]) -> None:
        self.decision = Decided(value_hash, round, commits)
        self._held = Held(self._nodes)
        self._out.append(self.decision)

    def _answer(self, message: Message) -> Outputs:
        """The decision is there, and a node still changes rounds: it is told."""
        decision, late = self.decision, message.peer
        assert decision is not None
        if message.kind != Kind.ROUND_CHANGE or late == self._peer or self._replies[late] == MOST_REPLIES:
            return []
        self._replies[late] += 1
        told = Message(
            Kind.DECIDED,
            self._duty,
            self._peer,
            decision.round,
            decision.value_hash,
            justification=decision.commits,
        )
        return [Reply(late, told)]

    # Rounds.

    def _catch_up(self) -> None:
        """f + 1 nodes are in later rounds, one of them honest: this one goes where f + 1 of them are."""
        ahead = self._held.highest_rounds()
        fewest = faulty(self._nodes)
        if len(ahead) > fewest and ahead[fewest] > self.round:
            self._change_round(ahead[fewest])

    def _change_round(self, round: int) -> None:
        self._enter(round)
        if (prepared := self._prepared) is None:
            self._say(Kind.ROUND_CHANGE)
        else:
            self._say(
                Kind.ROUND_CHANGE,
                prepared_round=prepared.round,
                prepared_value_hash=prepared.value_hash,
                justification=prepared.prepares,
            )
        self._count_prepares()
        self._propose()

    def _enter(self, round: int) -> None:
        self.round = round
        self._held.forget_before(round)
        self._out.append(SetTimer(round))

    def _propose(self) -> None:
        """Its turn, once a quorum has changed to its round: the value that is prepared, or its own."""
        if not self._started or self.decision is not None or self._proposed_in == self.round:
            return
        if leader(self._duty, self.round, self._nodes) != self._peer:
            return
        value_hash, justification = self._own_value, NONE
        if self.round > FIRST_ROUND:
            changes = self._held.of_round(Kind.ROUND_CHANGE, self.round)
            if len(changes) < quorum(self._nodes):
                return
            last = max(changes, key=lambda each: each.prepared_round)
            if last.has_prepared:
                value_hash = last.prepared_value_hash
            justification = (*(each.bare() for each in changes), *last.justification)
        if value_hash is not None:
            self._proposed_in = self.round
            self._say(Kind.PRE_PREPARE, value_hash=value_hash, justification=justification)

    # Outputs.

    def _say(
        self,
        kind: Kind,
        *,
        value_hash: bytes | None = None,
        prepared_round: int = 0,
        prepared_value_hash: bytes | None = None,
        justification: tuple[Message, ...] = (),
    ) -> None:
        message = Message(
            kind,
            self._duty,
            self._peer,
            self.round,
            value_hash,
            prepared_round,
            prepared_value_hash,
            justification,
        )
        self._out.append(Broadcast(message))

    def _outcome(self) -> Outputs:
        out, self._out = self._out, []
        return out
