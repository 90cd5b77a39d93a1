"""What is dealt, on the wire: the casts of both rounds, and the shares for one peer.

Each message has an entry for every validator, in any order, under a key that says whose it is. charon takes
one that leaves validators out, or has them twice; we do not, nor points of another length, which it mends.

Source: charon, dkg/dkgpb/v1/frost.proto and dkg/frostp2p.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.constants import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.keys import check_secret_keys
from dvtfast.protobuf import BYTES, VARINT, Fields, Wire, bytes_field, message_field, number_field

# Of an entry: what is around its points and scalars, and room for fields that we do not know.
ENTRY_BYTES = 96
MESSAGE_BYTES = 1024
# A point or scalar with tag and length.
POINT_FIELD_BYTES = PUBLIC_KEY_BYTES + 2
SCALAR_FIELD_BYTES = SECRET_KEY_BYTES + 2
# Casts are for everybody.
EVERYBODY = 0


def share_index(position: int) -> int:
    """charon's: the position of the operator, from 0, and one."""
    return position + 1


@dataclass(frozen=True, eq=False)
class Round1:
    """What a dealer tells everybody of its polynomials (FrostRound1Casts).

    Attributes:
        responses, challenges: uint8[m, 32], of the proofs that it knows the constant terms: wi and ci.
        commitments: uint8[m, t, 48], not decoded.
    """

    NAME: ClassVar = "FrostRound1Casts"

    responses: Bytes
    challenges: Bytes
    commitments: Bytes

    @classmethod
    def most_bytes(cls, validators: int, threshold: int) -> int:
        """How long such a message may be."""
        entry = ENTRY_BYTES + 2 * SCALAR_FIELD_BYTES + threshold * POINT_FIELD_BYTES
        return MESSAGE_BYTES + validators * entry

    @classmethod
    def decode(cls, data: bytes, *, position: int, validators: int, threshold: int) -> Self:
        """Read what the node at a position sent.

        Raises:
            ProtobufError, BadMessageError: it is no such message, or one that this node may not send.
        """
        entries = _entries(data, validators, position, EVERYBODY)
        cast = cls(
            _column(entries, 2, "wi", SECRET_KEY_BYTES),
            _column(entries, 3, "ci", SECRET_KEY_BYTES),
            np.zeros((validators, threshold, PUBLIC_KEY_BYTES), np.uint8),
        )
        for validator, entry in enumerate(entries):
            points = entry.every(4)
            if len(points) != threshold or any(len(point) != PUBLIC_KEY_BYTES for point in points):
                raise BadMessageError(
                    f"commitments: expected {threshold} of {PUBLIC_KEY_BYTES} bytes for validator {validator}"
                )
            cast.commitments[validator] = np.frombuffer(b"".join(points), np.uint8).reshape(threshold, -1)
        _require_scalars(cast.challenges, "ci")
        _require_scalars(cast.responses[cast.responses.any(axis=1)], "wi")  # 0 is as good as any
        return cast

    def encode(self, position: int) -> bytes:
        """As the node at a position sends it."""
        rows = zip(self.responses, self.challenges, self.commitments, strict=True)
        return _encoded(
            position,
            EVERYBODY,
            (
                bytes_field(2, response.tobytes())
                + bytes_field(3, challenge.tobytes())
                + b"".join(message_field(4, point.tobytes()) for point in points)
                for response, challenge, points in rows
            ),
        )


@dataclass(frozen=True, eq=False)
class Shares:
    """What a dealer gives one node (FrostRound1P2P): its shares uint8[m, 32], which are secret."""

    values: Bytes = field(repr=False)

    @classmethod
    def most_bytes(cls, validators: int) -> int:
        """How long such a message may be."""
        return MESSAGE_BYTES + validators * (ENTRY_BYTES + SCALAR_FIELD_BYTES)

    @classmethod
    def decode(cls, data: bytes, *, position: int, to: int, validators: int) -> Self:
        """Read what the node at a position sent to another.

        Raises:
            ProtobufError, BadMessageError: it is no such message, or one that this node may not send.
        """
        entries = _entries(data, validators, position, share_index(to), second=VARINT)
        for entry in entries:
            # charon evaluates the commitments at whatever a dealer says here.
            if entry.uint32(2) != share_index(to):
                raise BadMessageError(f"id: expected the share of {share_index(to)}, got {entry.uint32(2)}")
        shares = cls(_column(entries, 3, "value", SECRET_KEY_BYTES))
        _require_scalars(shares.values, "value")
        return shares

    def wipe(self) -> None:
        """Overwrite them."""
        self.values.fill(0)

    def encode(self, position: int, to: int) -> bytes:
        """As the node at a position sends it to another."""
        index = share_index(to)
        bodies = (number_field(2, index) + bytes_field(3, value.tobytes()) for value in self.values)
        return _encoded(position, index, bodies)


@dataclass(frozen=True, eq=False)
class Round2:
    """What a node says has come of it (FrostRound2Casts).

    Attributes:
        public_keys: uint8[m, 48], of the validators.
        public_shares: uint8[m, 48], of this node.
    """

    NAME: ClassVar = "FrostRound2Casts"

    public_keys: Bytes
    public_shares: Bytes

    @classmethod
    def most_bytes(cls, validators: int) -> int:
        """How long such a message may be."""
        return MESSAGE_BYTES + validators * (ENTRY_BYTES + 2 * POINT_FIELD_BYTES)

    @classmethod
    def decode(cls, data: bytes, *, position: int, validators: int) -> Self:
        """Read what the node at a position sent.

        Raises:
            ProtobufError, BadMessageError: it is no such message, or one that this node may not send.
        """
        entries = _entries(data, validators, position, EVERYBODY)
        return cls(
            _column(entries, 2, "verification_key", PUBLIC_KEY_BYTES),
            _column(entries, 3, "vk_share", PUBLIC_KEY_BYTES),
        )

    def encode(self, position: int) -> bytes:
        """As the node at a position sends it."""
        rows = zip(self.public_keys, self.public_shares, strict=True)
        bodies = (bytes_field(2, key.tobytes()) + bytes_field(3, share.tobytes()) for key, share in rows)
        return _encoded(position, EVERYBODY, bodies)


def _encoded(position: int, target: int, bodies: Iterable[bytes]) -> bytes:
    """An entry for each validator, behind what says whose it is: FrostMsgKey."""
    whose = number_field(2, share_index(position)) + number_field(3, target)
    return b"".join(
        message_field(1, message_field(1, number_field(1, validator) + whose) + body)
        for validator, body in enumerate(bodies)
    )


def _entries(
    data: bytes, validators: int, position: int, target: int, *, second: Wire = BYTES
) -> list[Fields]:
    """The entries of all validators, each once, in their order.

    Args:
        second: how field 2 is written.
    """
    sent = Fields(data, {1: BYTES}).every(1)
    if len(sent) != validators:
        raise BadMessageError(f"expected entries for {validators} validators, got {len(sent)}")
    entries: dict[int, Fields] = {}
    for each in sent:
        entry = Fields(each, {1: BYTES, 2: second, 3: BYTES, 4: BYTES})
        key = entry.message(1)
        if key is None:
            raise BadMessageError("key: it is absent")
        names = Fields(key, {1: VARINT, 2: VARINT, 3: VARINT})
        validator, source, to = names.uint32(1), names.uint32(2), names.uint32(3)
        if source != share_index(position) or to != target:
            raise BadMessageError(
                f"key: expected source_id {share_index(position)} and target_id {target},"
                f" got {source} and {to}"
            )
        if validator >= validators or validator in entries:
            raise BadMessageError(f"val_idx: expected each of {validators} validators once, got {validator}")
        entries[validator] = entry
    return [entries[validator] for validator in range(validators)]


def _column(entries: Sequence[Fields], number: int, name: str, width: int) -> Bytes:
    """What each entry has in a field, uint8[m, width]."""
    column = np.zeros((len(entries), width), np.uint8)
    for row, entry in zip(column, entries, strict=True):
        value = entry.last(number)
        if len(value) != width:
            raise BadMessageError(f"{name}: expected {width} bytes, got {len(value)}")
        row[:] = np.frombuffer(value, np.uint8)
    return column


def _require_scalars(scalars: Bytes, name: str) -> None:
    if not check_secret_keys(scalars).all():
        raise BadMessageError(f"{name}: expected scalars of 1..r-1")
