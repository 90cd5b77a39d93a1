"""Bodies and values of addresses, read and written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from .errors import NotJsonError, WireError
from .messages import ITEMS_LIMIT, AtMostItems, ExitShare, Rejected, SignatureShares
from .values import EncryptedSignature, Hex, PublicKey, ShareIndex, UInt64

SHOWN_CHARACTERS = 100  # of a value that could not be read, in the answer
MARKS_LIMIT = 8 * ITEMS_LIMIT  # of JSON in one request; a share takes four, and unknown fields some more
T = TypeVar("T", bound=msgspec.Struct)
S = TypeVar("S", "ExitShare", "SignatureShares")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_COUNT = re.compile(r"[0-9]{1,9}")
_DIGITS = re.compile(r"[0-9]{1,20}")


@dataclass
class ReceivedShares(Generic[S]):
    """A body of partial signatures, read item by item; `shares` by position."""

    share_index: ShareIndex
    shares: dict[int, S] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)

    def reject(self, position: int, public_key: str, at: str, reason: str) -> None:
        """Take an item out, as malformed."""
        self.shares.pop(position, None)
        path = f"shares[{position}]" + (f".{at}" if at else "")
        self.rejected.append(Rejected(public_key, f"{path}: {reason}"))


def encode(answer: msgspec.Struct) -> bytes:
    """Write a body."""
    return msgspec.json.encode(answer, enc_hook=_to_wire)


def encode_validator_shares(public_key: bytes, key_shares: bytes | None, encrypted: bytes | None) -> bytes:
    """Write one `ValidatorShares`, whose lists stand one item behind the other; without objects for items."""
    if key_shares is None or encrypted is None:
        shares = "null"
    else:
        keys, signatures = _hex_list(key_shares, PublicKey), _hex_list(encrypted, EncryptedSignature)
        shares = f'{{"public_keys":{keys},"encrypted_exit_signatures":{signatures}}}'
    return f'{{"public_key":"0x{public_key.hex()}","oracles_exit_signature_shares":{shares}}}'.encode()


def _hex_list(joined: bytes, kind: type[Hex]) -> str:
    items = joined.hex(",", kind.width).replace(",", '","0x')
    return f'["0x{items}"]' if items else "[]"


def decode(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Read a body; raises `WireError` with the field that is wrong."""
    try:
        value: T = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, WireError):  # of a body whose fields do not fit together
            raise error.__cause__ from None
        reason, _, path = str(error).partition(" - at `$")
        raise WireError(path.rstrip("`").lstrip("."), reason) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotJsonError("", f"not JSON: {error}") from None
    return value


def decode_request(body: bytes, kind: type[T]) -> T:
    """Read a body that anybody may have sent; raises `WireError` with the field that is wrong.

    Two bytes of JSON can be a list, which is dozens in memory. Every value follows a comma or is the first
    of its list or object, so counting these marks bounds the values before one is made.
    """
    return decode_bounded(body, kind, MARKS_LIMIT)


def decode_bounded(body: bytes, kind: type[T], most_marks: int) -> T:
    """Read a body that has at most so many marks that a value can follow."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > most_marks:
        raise WireError("", f"expected at most {ITEMS_LIMIT} items")
    return decode(body, kind)


class _RawSharesRequest(msgspec.Struct):
    share_index: ShareIndex
    shares: Annotated[list[msgspec.Raw], AtMostItems]


class _RawExitShare(msgspec.Struct):
    public_key: str = ""


def decode_shares(body: bytes, kind: type[S]) -> ReceivedShares[S]:
    """Read items of partial signatures; malformed ones are rejected, the others are kept.

    Raises:
        WireError: the body is no such request.
    """
    request = decode_request(body, _RawSharesRequest)
    if not request.shares:
        raise WireError("shares", "expected at least one")
    received: ReceivedShares[S] = ReceivedShares(request.share_index)
    for position, item in enumerate(request.shares):
        try:
            received.shares[position] = decode(item, kind)
        except WireError as error:
            received.reject(position, _public_key_as_sent(item), error.field, error.reason)
    return received


def _public_key_as_sent(item: msgspec.Raw) -> str:
    try:
        return decode(item, _RawExitShare).public_key[:SHOWN_CHARACTERS]
    except WireError:
        return ""


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_from_wire)


def _from_wire(kind: type[Hex] | type[UInt64], value: object) -> object:
    return kind.from_wire(value)


def _to_wire(value: Hex | UInt64) -> str | int:
    return value.to_wire()


def read_seconds(text: str, field: str, *, most: float) -> float:
    """A number of seconds in an address, cut to the most that is given; raises `WireError`."""
    if not _SECONDS.fullmatch(text):
        raise WireError(field, "expected seconds, such as 20")
    return min(float(text), most)


def read_count(text: str, field: str) -> int:
    """A count in an address; raises `WireError`."""
    if not _COUNT.fullmatch(text):
        raise WireError(field, "expected a count, such as 50")
    return int(text)


def read_share_index(text: str, field: str) -> ShareIndex:
    """A share index in an address; raises `WireError`."""
    try:
        return ShareIndex.from_wire(int(text) if _DIGITS.fullmatch(text) else None)
    except ValueError as error:
        raise WireError(field, str(error)) from None
