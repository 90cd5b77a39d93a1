"""One duty of one node: its machine, with timer, signatures, and the contents of values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dvtfast.qbft import wire
from dvtfast.qbft.justification import is_justified, proposes_again
from dvtfast.qbft.leaders import leader
from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Broadcast, Decided, Duty, Kind, Message, Outputs, Reply, SetTimer
from dvtfast.secp256k1 import IdentityKey

from ...process import logs
from ...process.background import Tasks
from ..deadlines import Deadlines
from .message_checks import Checked

log = logs.get("consensus")


@dataclass(frozen=True)
class Agreement:
    """What the cluster agreed on.

    Attributes:
        value: that all sign.
        round: in which it was decided, from 1.
    """

    value: wire.Value
    round: int


@dataclass(frozen=True)
class _Content:
    """A value, and who spoke of it first."""

    value: wire.Value
    peer: int


Accepts = Callable[[wire.Value, int], Awaitable[bool]]
"""Whether this node votes for a value that the leader of a round proposes as its own."""


class Instance:
    """One duty, until it is closed.

    What a leader may propose of its own is looked at before this node votes for it. What a quorum has voted
    for before, and a leader has to propose again, is not: it may be decided already. Nor is what no leader
    may propose: it is dropped, and beacon nodes are not asked about it.

    Args:
        duty: what is agreed on.
        key: this node's.
        nodes: how many there are.
        position: of this node.
        deadlines: when its rounds end.
        send: gives bytes to a peer, at once; whether they arrive, nobody knows.
        tasks: among which it looks at proposals.

    Attributes:
        agreement: what comes of it; cancelled when the duty is over before.
    """

    def __init__(
        self,
        duty: Duty,
        key: IdentityKey,
        nodes: int,
        position: int,
        deadlines: Deadlines,
        send: Callable[[int, bytes], None],
        tasks: Tasks,
    ) -> None:
        self._duty, self._key, self._nodes, self._position = duty, key, nodes, position
        self._deadlines, self._send, self._tasks = deadlines, send, tasks
        self._machine = Machine(duty, nodes, position)
        self._contents: dict[bytes, _Content] = {}
        self._started = False
        self._accepts: Accepts | None = None
        # By their leaders: what came before this node began, and what is looked at.
        self._early: dict[int, Checked] = {}
        self._looked_at: dict[int, tuple[Checked, asyncio.Task[None]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.agreement: asyncio.Future[Agreement] = self._loop.create_future()

    def start(self, own: tuple[bytes, wire.Value] | None, accepts: Accepts | None = None) -> None:
        """The duty begins, where it has not.

        Args:
            own: hash and content of what this node would propose, if it knows.
            accepts: asked of what others propose.
        """
        if self.agreement.cancelled():
            return
        if not self._started:
            self._started, self._accepts = True, accepts
        self._do(self._machine.start(self._own(own)))
        early, self._early = self._early, {}
        for checked in early.values():
            self.hear(checked)

    def provide(self, own: tuple[bytes, wire.Value]) -> None:
        """This node knows what it would propose."""
        if not self.agreement.cancelled():
            self._do(self._machine.provide(self._own(own)))

    def hear(self, checked: Checked) -> None:
        """A node says something."""
        if self.agreement.cancelled():
            return
        if not self._is_new_proposal(checked.message):
            self._take(checked)
        elif not self._started:
            self._early.setdefault(checked.message.peer, checked)
        elif self._accepts is None:
            self._take(checked)
        elif checked.message.peer not in self._looked_at:
            looking = self._tasks.start(self._look(checked, self._accepts))
            self._looked_at[checked.message.peer] = checked, looking

    def _is_new_proposal(self, message: Message) -> bool:
        return (
            message.kind == Kind.PRE_PREPARE
            and message.value_hash is not None
            and message.peer != self._position
            and message.peer == leader(self._duty, message.round, self._nodes)
            and message.round >= self._machine.round
            and self._machine.decision is None
            and not proposes_again(message, self._nodes)
            and is_justified(message, self._nodes)
        )

    async def _look(self, checked: Checked, accepts: Accepts) -> None:
        message = checked.message
        assert message.value_hash is not None  # it is a proposal
        try:
            accepted = await accepts(checked.values[message.value_hash], message.round)
        except Exception:
            log.exception("a proposal was not understood", peer=message.peer)
            accepted = False
        finally:
            del self._looked_at[message.peer]
        if accepted and not self.agreement.cancelled():
            self._take(checked)

    def _take(self, checked: Checked) -> None:
        for value_hash, value in checked.values.items():
            self._contents.setdefault(value_hash, _Content(value, checked.message.peer))
        self._do(self._machine.receive(checked.message))
        used = self._machine.values_in_use()
        self._contents = {each: content for each, content in self._contents.items() if each in used}

    def new_bytes(self, checked: Checked) -> int:
        """How much more would be kept of a message's values."""
        return sum(
            len(value.content)
            for value_hash, value in checked.values.items()
            if value_hash not in self._contents
        )

    def bytes_of(self, peer: int) -> int:
        """How much is kept that a node spoke of first."""
        values = [each.value for each in self._contents.values() if each.peer == peer]
        if (early := self._early.get(peer)) is not None:
            values += early.values.values()
        if (looked_at := self._looked_at.get(peer)) is not None:
            values += looked_at[0].values.values()
        return sum(len(value.content) for value in values)

    def close(self) -> None:
        """The duty is over."""
        self.agreement.cancel()
        self._stop_timer()
        for _, looking in list(self._looked_at.values()):
            looking.cancel()

    def _own(self, own: tuple[bytes, wire.Value] | None) -> bytes | None:
        if own is None:
            return None
        self._contents.setdefault(own[0], _Content(own[1], self._position))
        return own[0]

    def _do(self, outputs: Outputs) -> None:
        for output in outputs:
            match output:
                case Broadcast(message):
                    checked, data = self._signed(message)
                    for peer in range(self._nodes):
                        if peer != self._position:
                            self._send(peer, data)
                    self._loop.call_soon(self.hear, checked)
                case Reply(peer, message):
                    self._send(peer, self._signed(message)[1])
                case SetTimer(round, extended):
                    self._set_timer(round, extended=extended)
                case Decided(value_hash, round, _):
                    self._stop_timer()
                    if not self.agreement.done():
                        self.agreement.set_result(Agreement(self._contents[value_hash].value, round))

    def _signed(self, message: Message) -> tuple[Checked, bytes]:
        """A message of this node, with the contents of its values, and as it is sent."""
        signed = wire.with_signature(message, self._key.sign(wire.signing_digest(message)))
        values = {each: self._contents[each].value for each in message.value_hashes()}
        return Checked(signed, values), wire.encode_envelope(signed, values)

    def _set_timer(self, round: int, *, extended: bool) -> None:
        self._stop_timer()
        end = self._deadlines.round_end(self._duty, round, extended=extended)
        self._timer = self._loop.call_later(self._deadlines.seconds_until(end), self._ring, round)

    def _ring(self, round: int) -> None:
        self._timer = None
        self._do(self._machine.timer(round, present=self._deadlines.present_round(self._duty)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
