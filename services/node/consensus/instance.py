"""One duty of one node: its machine, with timer, signatures, and the contents of values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from dvtfast.qbft import wire
from dvtfast.qbft.machine import Machine
from dvtfast.qbft.messages import Broadcast, Decided, Duty, Message, Outputs, Reply, SetTimer
from dvtfast.secp256k1 import IdentityKey

from ..timetable import Timetable
from .checks import Checked


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


class Instance:
    """One duty, until it is closed.

    Args:
        duty: what is agreed on.
        key: this node's.
        nodes: how many there are.
        position: of this node.
        timetable: when its rounds end.
        send: gives bytes to a peer, at once; whether they arrive, nobody knows.

    Attributes:
        agreement: what comes of it; cancelled when the duty is over before.
    """

    def __init__(
        self,
        duty: Duty,
        key: IdentityKey,
        nodes: int,
        position: int,
        timetable: Timetable,
        send: Callable[[int, bytes], None],
    ) -> None:
        self._duty, self._key, self._nodes, self._position = duty, key, nodes, position
        self._timetable, self._send = timetable, send
        self._machine = Machine(duty, nodes, position)
        self._contents: dict[bytes, _Content] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.agreement: asyncio.Future[Agreement] = self._loop.create_future()

    def start(self, own: tuple[bytes, wire.Value] | None) -> None:
        """The duty begins; with the hash and the content of what this node would propose, if it knows."""
        if not self.agreement.cancelled():
            self._do(self._machine.start(self._own(own)))

    def provide(self, own: tuple[bytes, wire.Value]) -> None:
        """This node knows what it would propose."""
        if not self.agreement.cancelled():
            self._do(self._machine.provide(self._own(own)))

    def hear(self, checked: Checked) -> None:
        """A node says something."""
        if self.agreement.cancelled():
            return
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
        return sum(len(each.value.content) for each in self._contents.values() if each.peer == peer)

    def close(self) -> None:
        """The duty is over."""
        self.agreement.cancel()
        self._stop_timer()

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
        end = self._timetable.round_end(self._duty, round, extended=extended)
        self._timer = self._loop.call_later(self._timetable.seconds_until(end), self._ring, round)

    def _ring(self, round: int) -> None:
        self._timer = None
        self._do(self._machine.timer(round, present=self._timetable.present_round(self._duty)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
