"""What a node that lies sends instead of what it would: wrong shares, two stories, junk, nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from dvtfast.duties.message_sizes import MessageSizes
from dvtfast.errors import DvtfastError
from dvtfast.protobuf import ProtobufError
from dvtfast.qbft import wire
from dvtfast.qbft.messages import Kind
from dvtfast.secp256k1 import IdentityKey
from dvtfast.services.node.wire.partial_signatures import PROTOCOL, PartialSignaturesMessage

FLOOD = 20  # messages for one


class Liar:
    """One liar, and how it lies: the same way until it is caught.

    Args:
        key: of its node, with which it signs what it says.
    """

    WAYS = ("wrong shares", "others' shares", "two values", "silent", "flood", "late shares twice")

    def __init__(self, random: Random, key: IdentityKey, nodes: int) -> None:
        self.way = random.choice(self.WAYS)
        self._random, self._key, self._nodes = random, key, nodes
        self._said: dict[str, list[bytes]] = {}

    def mangle(self, target: int, protocol: str, message: bytes) -> Sequence[bytes]:
        """What a peer gets instead of a message."""
        heard = self._said.setdefault(protocol, [])
        heard.append(message)
        del heard[:-20]
        match self.way:
            case "silent":
                return []
            case "flood":
                junk = [self._random.randbytes(self._random.choice([0, 3, 100, 5000])) for _ in range(3)]
                again = self._random.choices(heard, k=FLOOD)
                cut = [each[: self._random.randrange(len(each))] for each in again[:5]]
                return [*junk, *again, *cut, message]
            case "two values" if protocol == wire.PROTOCOL:
                return self._two_values(target, message)
            case "wrong shares" | "others' shares" | "late shares twice" if protocol == PROTOCOL:
                return self._wrong_shares(message)
        return [message]

    def _wrong_shares(self, data: bytes) -> list[bytes]:
        try:
            message = PartialSignaturesMessage.decode(data, most=1000)
        except ProtobufError:
            return [data]
        if self.way == "others' shares":
            other = self._random.randint(1, self._nodes)
            entries = [replace(entry, share_index=other) for entry in message.entries]
            return [replace(message, entries=entries).encode()]
        entries = []
        for entry in message.entries:
            wrong = _other_signature(entry.data, entry.signature, self._random)
            entries.append(replace(entry, data=wrong) if self._random.random() < 0.7 else entry)
        lie = replace(message, entries=entries).encode()
        return [lie] if self.way == "wrong shares" else [data, lie]

    def _two_values(self, target: int, data: bytes) -> list[bytes]:
        """Half of the nodes hear of another value."""
        try:
            envelope = wire.decode_envelope(data, MessageSizes(self._nodes, 1000))
        except DvtfastError:
            return [data]
        message = envelope.message
        if target % 2 or message.value_hash is None or message.kind == Kind.ROUND_CHANGE:
            return [data]
        values = [_other_value(value) for value in envelope.values]
        by_hash = {value.hash(): value for value in values}
        lie = replace(message, value_hash=next(iter(by_hash)), justification=())
        signed = wire.with_signature(lie, self._key.sign(wire.signing_digest(lie)))
        try:
            return [wire.encode_envelope(signed, by_hash)]
        except DvtfastError:
            return [data]


def _other_value(value: wire.Value) -> wire.Value:
    if value.type_url != wire.DATA_SET:
        return value
    changed = {
        key: content[:-1] + bytes([content[-1] ^ 1])
        for key, content in wire.decode_data_set(value.content).items()
    }
    return wire.Value(value.type_url, wire.encode_data_set(changed))


def _other_signature(data: bytes, signature: bytes, random: Random) -> bytes:
    """The same data with another signature in it, wherever it stands and however it is written."""
    other = random.choice([bytes([0xC0]) + bytes(95), random.randbytes(96), signature[::-1]])
    if signature in data:
        return data.replace(signature, other)
    return data.replace(signature.hex().encode(), other.hex().encode())
