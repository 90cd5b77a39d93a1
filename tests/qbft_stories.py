"""Stories of a cluster that agrees, as text: what happens, and, indented below it, what the nodes do then.

    0 leads round 1                        four nodes; first line of a story
    0 starts with A                        1 2 3 start
    2 learns A                             round 1 ends at 1 2
    all arrives                            what is under way, in the order in which it was sent
    PREPARE to 1 2 arrives, from 0 3       some of it
    COMMIT to 3 is lost                    some of it never does
    3 is down                              it neither hears nor does anything
    3 is up
    2 lies to 0 1: PREPARE 1 B             a node says something besides
    2 lies to 0: PRE-PREPARE 2 B because ROUND-CHANGE 2 of 1 2 3

Nodes hear themselves at once. Who does the same at the same time has one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Broadcast, Decided, Kind, Message, Outputs, Reply, SetTimer
from tests.qbft_messages import DUTY, NODES, change, name, value

INDENT = "    "
KINDS = {kind.name.replace("_", "-"): kind for kind in Kind}
PEERS = r"((?:\d )*\d|all)"


class Story:
    """Four nodes, and what is under way between them."""

    def __init__(self) -> None:
        self._machines = [Machine(DUTY, NODES, peer) for peer in range(NODES)]
        self._down: set[int] = set()
        self._way: list[tuple[int, int, Message]] = []
        self._told: dict[str, list[int]] = {}

    def tell(self, line: str) -> Iterator[str]:
        """What comes of one line, as lines."""
        self._told = {}
        for pattern, happen in (
            (r"0 leads round 1", lambda: None),
            (rf"{PEERS} starts? with (\w+)", self._starts),
            (rf"{PEERS} starts?", self._starts),
            (rf"{PEERS} learns? (\w+)", self._learns),
            (rf"round (\d+) ends at {PEERS}", self._ends),
            (r"all arrives", self._arrives),
            (rf"(\S+) to {PEERS} arrives", self._arrives),
            (rf"(\S+) to {PEERS} arrives, from {PEERS}", self._arrives),
            (rf"(\S+) to {PEERS} is lost", self._is_lost),
            (rf"{PEERS} (?:is|are) (down|up)", self._is),
            (rf"(\d) lies to {PEERS}: (.+)", self._lies),
        ):
            if match := re.fullmatch(pattern, line):
                happen(*match.groups())
                break
        else:
            raise ValueError(f"a story cannot say {line!r}")
        for told, peers in self._told.items():
            yield f"{INDENT}{' '.join(map(str, sorted(peers)))}: {told}"

    # What happens.

    def _starts(self, who: str, own: str = "") -> None:
        for peer in peers(who):
            self._do(peer, self._machines[peer].start(value(own) if own else None))

    def _learns(self, who: str, own: str) -> None:
        for peer in peers(who):
            self._do(peer, self._machines[peer].provide(value(own)))

    def _ends(self, round: str, who: str) -> None:
        for peer in peers(who):
            self._do(peer, self._machines[peer].timer(int(round)))

    def _arrives(self, kind: str = "", to: str = "all", of: str = "all") -> None:
        """All of it, and what comes of it, too; or just what is under way now."""
        while arriving := self._taken(kind, to, of):
            for _, target, message in arriving:
                self._hear(target, message)
            if kind:
                break

    def _is_lost(self, kind: str, to: str) -> None:
        assert self._taken(kind, to, "all"), "nothing of it is under way"

    def _is(self, who: str, how: str) -> None:
        for peer in peers(who):
            (self._down.add if how == "down" else self._down.discard)(peer)

    def _lies(self, peer: str, to: str, said: str) -> None:
        for target in peers(to):
            self._hear(target, read(int(peer), said))

    def _taken(self, kind: str, to: str, of: str) -> list[tuple[int, int, Message]]:
        """What is under way of that kind, to and from those, and is so no longer."""
        taken = [
            each
            for each in self._way
            if (not kind or each[2].kind == KINDS[kind]) and each[1] in peers(to) and each[0] in peers(of)
        ]
        self._way = [each for each in self._way if each not in taken]
        return taken

    # What the nodes do.

    def _hear(self, peer: int, message: Message) -> None:
        if peer not in self._down:
            self._do(peer, self._machines[peer].receive(message))

    def _do(self, peer: int, outputs: Outputs) -> None:
        if peer in self._down:
            return
        own = []
        for output in outputs:
            self._told.setdefault(written(output), []).append(peer)
            match output:
                case Broadcast(message):
                    own.append(message)
                    self._way += [(peer, target, message) for target in range(NODES) if target != peer]
                case Reply(target, message):
                    self._way.append((peer, target, message))
        for message in own:
            self._hear(peer, message)


def peers(text: str) -> list[int]:
    return list(range(NODES)) if text == "all" else [int(each) for each in text.split()]


def read(peer: int, text: str) -> Message:
    """What a node says: `COMMIT 1 A`, `ROUND-CHANGE 2`, either `because KIND ROUND [VALUE] of 1 2`."""
    said, *reasons = text.split(" because ")
    kind, round, *own = said.split()
    because = []
    for reason in reasons:
        given, _, of = reason.partition(" of ")
        because += [read(each, given) for each in peers(of)]
    if KINDS[kind] == Kind.ROUND_CHANGE:
        return change(peer, int(round), because=because)
    return Message(KINDS[kind], DUTY, peer, int(round), value(own[0]), justification=tuple(because))


def written(output: Broadcast | Reply | SetTimer | Decided) -> str:
    """What a node does, as a story has it."""
    match output:
        case SetTimer(round, extended):
            return f"more time for round {round}" if extended else f"waits for the end of round {round}"
        case Decided(value_hash, round, commits):
            by = " ".join(str(each.peer) for each in commits)
            return f"decides {name(value_hash)}, round {round}, by COMMITs of {by}"
        case Reply(peer, message):
            return f"{shown(message)}, to {peer}"
        case Broadcast(message):
            return shown(message)


def shown(message: Message) -> str:
    text = f"{message.kind.name.replace('_', '-')} {message.round}"
    if message.value_hash is not None:
        text += f" {name(message.value_hash)}"
    if message.prepared_value_hash is not None:
        text += f", prepared in {message.prepared_round}: {name(message.prepared_value_hash)}"
    for kind in Kind:
        if given := [str(each.peer) for each in message.justification if each.kind == kind]:
            text += f" because {kind.name.replace('_', '-')} of {' '.join(given)}"
    return text


def replay(text: str) -> str:
    """A story as it goes: its lines, and what the nodes do now."""
    story, lines = Story(), []
    for line in text.splitlines():
        if line.startswith(INDENT):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += story.tell(line)
    return "".join(f"{line}\n" for line in lines)
