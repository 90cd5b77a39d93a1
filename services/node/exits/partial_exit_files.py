"""Partial exits as a file, in the form in which charon hands them over; without charon's signature around it.

Each partial exit is verified by the key share that made it. Source: charon, app/obolapi/exit_model.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from dvtfast import FileError
from dvtfast.constants import PUBLIC_KEY_BYTES, SIGNATURE_BYTES
from dvtfast.duties.validator_messages import SignedVoluntaryExit, VoluntaryExit
from dvtfast.files import read_bytes

from ...chain.beacon.answers import uint64
from ...chain.encoding import read_data, write_data
from .messages import PartialExit

MOST_BYTES: Final = 64 * 1024**2


class _Message(msgspec.Struct):
    epoch: str
    validator_index: str


class _Signed(msgspec.Struct):
    message: _Message
    signature: str


class _Exit(msgspec.Struct):
    public_key: str
    signed_exit_message: _Signed


class _File(msgspec.Struct):
    partial_exits: list[_Exit]
    share_idx: int


def write_partial_exits(partials: Sequence[PartialExit]) -> bytes:
    """What one node signed, at least one exit, as JSON."""
    exits = [
        _Exit(
            write_data(each.message.validator),
            _Signed(
                _Message(str(each.message.epoch), str(each.message.index)),
                write_data(each.signature),
            ),
        )
        for each in partials
    ]
    return msgspec.json.encode(_File(exits, partials[0].node + 1)) + b"\n"


def read_partial_exits(
    path: Path, validators: Mapping[bytes, int], nodes: int
) -> tuple[int, list[tuple[int, SignedVoluntaryExit]]]:
    """The position of a node, and the exits with its partial signatures, by the validator's position.

    Args:
        validators: of the cluster, positions by public keys.
        nodes: how many the cluster has.

    Raises:
        FileError: it is another file, or one of another cluster.
    """
    content = read_bytes(path, limit_bytes=MOST_BYTES)
    try:
        found = msgspec.json.decode(content, type=_File)
        if not 1 <= found.share_idx <= nodes:
            raise ValueError(f"share_idx: expected 1 to {nodes}, got {found.share_idx}")
        signed = []
        for number, each in enumerate(found.partial_exits):
            key = read_data(each.public_key, width=PUBLIC_KEY_BYTES)
            if key not in validators:
                raise ValueError(f"partial_exits[{number}]: it is of no validator of the cluster")
            message = each.signed_exit_message.message
            value = SignedVoluntaryExit(
                VoluntaryExit(
                    uint64("epoch", message.epoch), uint64("validator_index", message.validator_index)
                ),
                read_data(each.signed_exit_message.signature, width=SIGNATURE_BYTES),
            )
            signed.append((validators[key], value))
    except (msgspec.MsgspecError, ValueError) as error:
        raise FileError(str(error), path) from None
    return found.share_idx - 1, signed
