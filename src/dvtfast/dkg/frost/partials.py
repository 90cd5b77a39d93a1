"""Signatures by the key shares of one node, as charon's nodes exchange them.

Source: charon, core/parsigex, core/corepb/v1 (core and parsigex.proto) and dkg/exchanger.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast.constants import SIGNATURE_BYTES
from dvtfast.dkg.frost.casts import share_index
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.protobuf import BYTES, VARINT, Fields, bytes_field, message_field, number_field, text_field

# Slots say what is signed; those of deposits go up from this, one for each amount.
LOCK_HASH: Final = 101
REGISTRATION: Final = 102
DEPOSIT: Final = 200
# The duty of everything that is signed while keys are generated.
SIGNATURE_DUTY = 3
# An entry has 339 bytes or so: the key as hex, the signature in base64 and as it is.
ENTRY_BYTES = 400
MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class PartialsMessage:
    """What a node sent, with only its slot read (ParSigExMsg)."""

    slot: int
    entries: bytes

    @classmethod
    def most_bytes(cls, validators: int) -> int:
        """How long such a message may be."""
        return MESSAGE_BYTES + validators * ENTRY_BYTES

    @classmethod
    def decode(cls, data: bytes) -> PartialsMessage:
        """Read what it is about.

        Raises:
            ProtobufError, BadMessageError: it is no such message.
        """
        fields = Fields(data, {1: BYTES, 2: BYTES})
        duty, entries = fields.message(1), fields.message(2)
        if duty is None or entries is None:
            raise BadMessageError("duty and data_set: expected both")
        names = Fields(duty, {1: VARINT, 2: VARINT})
        if names.int32(2) != SIGNATURE_DUTY:
            raise BadMessageError(f"duty: expected type {SIGNATURE_DUTY}, got {names.int32(2)}")
        return cls(names.uint64(1), entries)

    def signatures(self, validator_of: Mapping[str, int], position: int) -> Bytes:
        """Signatures uint8[m, 96] by the node at a position, in the order of the validators.

        Args:
            validator_of: the positions of validators, by `key_text` of their keys.

        Raises:
            ProtobufError, BadMessageError: it has not one of each, or they are another node's.
        """
        signatures = np.zeros((len(validator_of), SIGNATURE_BYTES), np.uint8)
        sent: dict[str, bytes] = {}
        for entry in Fields(self.entries, {1: BYTES}).every(1):
            pair = Fields(entry, {1: BYTES, 2: BYTES})
            sent[pair.text(1)] = pair.message(2) or b""
        if sent.keys() != validator_of.keys():
            raise BadMessageError(f"expected a signature for each of {len(validator_of)} validators")
        for key, value in sent.items():
            fields = Fields(value, {1: BYTES, 3: VARINT})
            # charon before v1.11 does not look whose they are.
            if fields.int32(3) != share_index(position):
                raise BadMessageError(f"share_idx: expected {share_index(position)}, got {fields.int32(3)}")
            signatures[validator_of[key]] = np.frombuffer(_unquoted(fields.last(1)), np.uint8)
        return signatures


def encode_partials(slot: int, signatures: Bytes, public_keys: Bytes, position: int) -> bytes:
    """The message of a node with signatures uint8[m, 96] for validators of keys uint8[m, 48]."""
    duty = number_field(1, slot) + number_field(2, SIGNATURE_DUTY)
    entries = b"".join(
        message_field(
            1,
            text_field(1, key_text(key))
            + message_field(
                2,
                bytes_field(1, b'"' + base64.b64encode(signature) + b'"')
                + bytes_field(2, signature)
                + number_field(3, share_index(position)),
            ),
        )
        for key, signature in zip(
            (key.tobytes() for key in public_keys), (row.tobytes() for row in signatures), strict=True
        )
    )
    return message_field(1, duty) + message_field(2, entries)


def key_text(public_key: bytes) -> str:
    """How messages call a validator."""
    return "0x" + public_key.hex()


def _unquoted(data: bytes) -> bytes:
    """The signature in a JSON text of base64."""
    try:
        signature = base64.b64decode(data[1:-1], validate=True)
    except binascii.Error:
        signature = b""
    if len(signature) != SIGNATURE_BYTES or data[:1] + data[-1:] != b'""':
        raise BadMessageError(f"data: expected {SIGNATURE_BYTES} bytes in base64, quoted")
    return signature
