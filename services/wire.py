"""What the relayer and its clients say to each other in JSON, and the only place with hex.

Field names and shapes are those of the first makers' relayers ("era A": `POST /validators`,
`GET /exits`, `POST /exit-signature`, `GET /info`). Four fields are ours and optional, so old and
new programs understand each other: `validators_start_index`, `validator_index` and `public_key_shares`
in a share, and `share_indexes_rejected`.

Bytes are `0x` and lower case on the way out; on the way in case and prefix do not matter.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

import msgspec
from Crypto.Hash import keccak

from dvtfast.constants import (
    ECIES_OVERHEAD_BYTES,
    PUBLIC_KEY_BYTES,
    ROOT_BYTES,
    SIGNATURE_BYTES,
    WITHDRAWAL_CREDENTIALS_BYTES,
)

UINT64_LIMIT = 1 << 64
SHOWN_CHARACTERS = 100  # of a value that could not be read, in the answer
ITEMS_LIMIT = 50_000  # validators or shares in one request
KEY_SHARES_LIMIT = 64  # public key shares with one validator
MARKS_LIMIT = 8 * ITEMS_LIMIT  # of JSON in one request; a share takes four, and unknown fields some more

KEY_START = ("0x", *"89abcdef")  # of a compressed point in hex

T = TypeVar("T", bound=msgspec.Struct)
S = TypeVar("S", "ExitShare", "SignatureShares")


class WireError(ValueError):
    """A request that is not what its route takes; other kinds of it have another HTTP status.

    Attributes:
        status: of the answer.
        field: the path of the field that is wrong, such as `shares[3].public_key`; "" is the whole body.
        reason: what was wanted and what came.
        rejected: the items that are the reason, if it is some of a list.
    """

    status: ClassVar[int] = 422
    of: ClassVar[str] = "body"  # what is wrong when no field is

    def __init__(self, field: str, reason: str, rejected: Sequence[Rejected] = ()) -> None:
        super().__init__(f"{field or self.of}: {reason}")
        self.field = field
        self.reason = reason
        self.rejected = list(rejected)


class NotJsonError(WireError):
    """A body that is no JSON at all."""

    status = 400


class UnauthorizedError(WireError):
    """A request without a token, or with one that is worth nothing."""

    status = 401
    of = "request"


class ForbiddenError(WireError):
    """A request of somebody who may not do this."""

    status = 403
    of = "request"


class TooManyError(WireError):
    """More than somebody may have or send.

    Attributes:
        retry_after_seconds: when the same may be all right.
    """

    status = 429
    of = "request"

    def __init__(self, field: str, reason: str, *, retry_after_seconds: float = 1) -> None:
        super().__init__(field, reason)
        self.retry_after_seconds = retry_after_seconds


class Hex(bytes):
    """Bytes of one width, written as hex in JSON."""

    __slots__ = ()
    width: ClassVar[int]

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON string, with or without 0x, in any case."""
        if not isinstance(value, str):
            raise ValueError(f"expected {cls.width} bytes of hex in a string")
        digits = value[2:] if value[:2] in ("0x", "0X") else value
        if len(digits) != 2 * cls.width:
            raise ValueError(f"expected {cls.width} bytes of hex, got {len(digits)} digits")
        return cls(unhexlify(digits))

    @classmethod
    def rows(cls, joined: bytes) -> list[Self]:
        """What stands one behind the other."""
        return [cls(joined[begin : begin + cls.width]) for begin in range(0, len(joined), cls.width)]

    def to_wire(self) -> str:
        """The form in which it is sent: 0x and lower case."""
        return "0x" + self.hex()


class PublicKey(Hex):
    """A compressed point of G1."""

    __slots__ = ()
    width = PUBLIC_KEY_BYTES


class Signature(Hex):
    """A compressed point of G2."""

    __slots__ = ()
    width = SIGNATURE_BYTES


class EncryptedSignature(Hex):
    """A signature share encrypted to one oracle."""

    __slots__ = ()
    width = SIGNATURE_BYTES + ECIES_OVERHEAD_BYTES


class Address(Hex):
    """An account or a contract; in mixed case only with its checksum, and so on the way out.

    Source: EIP-55.
    """

    __slots__ = ()
    width = 20

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON string, with or without 0x."""
        address = super().from_wire(value)
        digits = str(value)[-2 * cls.width :]
        if digits not in (digits.lower(), digits.upper(), address.to_wire()[2:]):
            raise ValueError(f"expected the checksum of an address in its case, got {digits}: mistyped?")
        return address

    def to_wire(self) -> str:
        """The form in which it is sent: 0x and mixed case."""
        digits = self.hex()
        marks = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
        cased = (digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks, strict=False))
        return "0x" + "".join(cased)


class ManagerSignature(Hex):
    """A validators manager's secp256k1 signature: r, s, then v of 27 or 28."""

    __slots__ = ()
    width = 65


class UInt64(int):
    """An integer in 0..2^64-1; JSON numbers have no such bound of their own."""

    __slots__ = ()
    lowest: ClassVar[int] = 0

    @classmethod
    def from_wire(cls, value: object) -> Self:
        """Read a JSON integer; true, 1.0 and "1" are none."""
        if type(value) is not int or not cls.lowest <= value < UINT64_LIMIT:
            raise ValueError(f"expected an integer in {cls.lowest}..2^64-1")
        return cls(value)

    def to_wire(self) -> int:
        """The form in which it is sent."""
        return int(self)


class ShareIndex(UInt64):
    """Where a share lies on its polynomial; at 0 lies the secret itself, so 0 is none."""

    __slots__ = ()
    lowest = 1


class PositiveUInt64(UInt64):
    """An integer in 1..2^64-1."""

    __slots__ = ()
    lowest = 1


AtMostItems = msgspec.Meta(max_length=ITEMS_LIMIT)
SomeItems = msgspec.Meta(min_length=1, max_length=ITEMS_LIMIT)


class InfoAnswer(msgspec.Struct, omit_defaults=True):
    """Answer to `GET /info`; the address is there when the relayer signs as validators manager."""

    network: str
    validators_manager_address: Address | None = None


class ValidatorsRequest(msgspec.Struct, omit_defaults=True):
    """Body of `POST /validators`; the key at position i gets `validators_start_index` + i."""

    public_keys: Annotated[list[PublicKey], AtMostItems]
    validators_start_index: UInt64 | None = None


class OraclesExitSignatureShares(msgspec.Struct):
    """One exit, split: a list per field, in the order of the oracles in their config."""

    public_keys: list[PublicKey]
    encrypted_exit_signatures: list[EncryptedSignature]


class ValidatorShares(msgspec.Struct):
    """One validator in the answer to `POST /validators`; null means not ready yet."""

    public_key: PublicKey
    oracles_exit_signature_shares: OraclesExitSignatureShares | None


class ValidatorsAnswer(msgspec.Struct):
    """Answer to `POST /validators`; `ready` when every validator has its shares."""

    ready: bool
    validators: list[ValidatorShares]


class ExitWanted(msgspec.Struct):
    """One validator in the answer to `GET /exits`; an `OpenExit` can be read as one."""

    public_key: PublicKey
    validator_index: UInt64
    is_exit_signature_ready: bool = False
    created_at_timestamp: int = 0
    created_at_string: str = ""
    share_indexes_ready: list[ShareIndex] = []
    share_indexes_rejected: list[ShareIndex] = []
    is_ahead: bool | msgspec.UnsetType = msgspec.UNSET  # only in what is read


class OpenExit(msgspec.Struct, omit_defaults=True):
    """One validator in the answer to `GET /exits?share_index=`: that share is wanted, now or maybe later."""

    public_key: PublicKey
    validator_index: UInt64
    is_ahead: bool = False


class ExitsAnswer(msgspec.Struct):
    """Answer to `GET /exits`."""

    exits: list[ExitWanted]


class ExitShare(msgspec.Struct, omit_defaults=True):
    """One partial exit signature; `validator_index` says which exit it signs.

    `public_key_shares` are of all nodes, as in `SignatureShares`.
    """

    public_key: PublicKey
    exit_signature: Signature
    validator_index: UInt64 | None = None
    public_key_shares: KeyShares | None = None


class ExitSignatureRequest(msgspec.Struct):
    """Body of `POST /exit-signature`: partial signatures of one share index."""

    share_index: ShareIndex
    shares: Annotated[list[ExitShare], AtMostItems]


class ValidatorType(Enum):
    """The first byte of withdrawal credentials: 0x01, or 0x02, which compounds."""

    EXECUTION = "0x01"
    COMPOUNDING = "0x02"

    @classmethod
    def of(cls, byte: int) -> Self:
        """The type with this byte."""
        return cls(f"0x{byte:02x}")

    @property
    def byte(self) -> int:
        """As a number."""
        return int(self.value, 16)


class RegisterRequest(msgspec.Struct):
    """Body of `POST /register`: as many validators as there are amounts in gwei, for one vault."""

    vault: Address
    validators_start_index: UInt64
    amounts: Annotated[list[UInt64], AtMostItems]
    validator_type: ValidatorType


class RegisterValidator(msgspec.Struct):
    """One validator in the answer to `POST /register`."""

    public_key: PublicKey
    amount: UInt64
    deposit_signature: Signature | None
    exit_signature: Signature | None
    oracles_exit_signature_shares: OraclesExitSignatureShares | None


class RegisterAnswer(msgspec.Struct):
    """Answer to `POST /register`; no validators, or no signature, means not ready yet."""

    validators: list[RegisterValidator]
    validators_manager_signature: ManagerSignature | None


class ValidatorWanted(msgspec.Struct):
    """One validator in the answer to `GET /validators`: its exit and its deposit are to be signed."""

    vault: Address
    public_key: PublicKey
    amount: UInt64
    validator_index: UInt64
    validator_type: ValidatorType
    is_signatures_ready: bool = False
    created_at_timestamp: int = 0
    created_at_string: str = ""
    share_indexes_ready: list[ShareIndex] = []
    share_indexes_rejected: list[ShareIndex] = []


class OpenValidator(msgspec.Struct):
    """One validator in the answer to `GET /validators?share_index=`: those shares are wanted."""

    vault: Address
    public_key: PublicKey
    amount: UInt64
    validator_index: UInt64
    validator_type: ValidatorType


class ValidatorsWantedAnswer(msgspec.Struct):
    """Answer to `GET /validators`."""

    validators: list[ValidatorWanted]


class PublicKeyShare(msgspec.Struct):
    """What a node says the public key share of some node is."""

    share_index: ShareIndex
    public_key_share: PublicKey


KeyShares = Annotated[list[PublicKeyShare], msgspec.Meta(max_length=KEY_SHARES_LIMIT)]


class SignatureShares(msgspec.Struct, omit_defaults=True):
    """One validator's partial signatures: of its exit and of its deposit."""

    public_key: PublicKey
    exit_signature: Signature
    deposit_signature: Signature
    validator_index: UInt64 | None = None
    public_key_shares: KeyShares | None = None


class SignaturesRequest(msgspec.Struct):
    """Body of `POST /signatures`: partial signatures of one share index."""

    share_index: ShareIndex
    shares: Annotated[list[SignatureShares], AtMostItems]


class RotateItem(msgspec.Struct):
    """One validator that is registered already."""

    public_key: PublicKey
    validator_index: UInt64


class RotateRequest(msgspec.Struct):
    """Body of `POST /rotate`: exits to be split for the oracles of today."""

    vault: Address
    validators: Annotated[list[RotateItem], SomeItems]

    def __post_init__(self) -> None:
        _require_different("validators", [item.public_key for item in self.validators])


class Rejected(msgspec.Struct):
    """An item that was refused; `public_key` as it was sent."""

    public_key: str
    reason: str


class ExitSignatureAnswer(msgspec.Struct):
    """Answer to `POST /exit-signature`; what is not in `rejected` is stored."""

    rejected: list[Rejected] = []


class ErrorAnswer(msgspec.Struct, omit_defaults=True):
    """Body of every answer that is not 2xx."""

    error: str
    field: str = ""
    rejected: list[Rejected] = []


class HealthAnswer(msgspec.Struct):
    """Answer to `GET /healthz` and `GET /readyz`; `problems` say what is missing."""

    ok: bool = True
    problems: list[str] = []


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


class Root(Hex):
    """A Merkle root."""

    __slots__ = ()
    width = ROOT_BYTES


class WithdrawalCredentials(Hex):
    """Who a validator's stake goes back to."""

    __slots__ = ()
    width = WITHDRAWAL_CREDENTIALS_BYTES


class ForkVersion(Hex):
    """What tells forks apart in domains."""

    __slots__ = ()
    width = 4


class RegisteredValidator(msgspec.Struct):
    """One validator of a registration bundle: its deposit, and its exit shared out to the oracles."""

    public_key: PublicKey
    validator_index: UInt64 | None
    amount_gwei: UInt64
    withdrawal_credentials: WithdrawalCredentials
    deposit_signature: Signature
    deposit_data_root: Root
    oracles_exit_signature_shares: OraclesExitSignatureShares


class RegistrationBundle(msgspec.Struct):
    """What `dvtfast operator collect` writes, validators in the order of the deposit data."""

    version: int
    network: str
    exit_signature_recover_threshold: int | None
    validators: list[RegisteredValidator]


def public_keys_in(text: str) -> tuple[list[PublicKey], list[str]]:
    """The public keys that a file lists, in the first column of each line, and what is wrong with lines."""
    keys: list[PublicKey] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        value = line.partition(",")[0].strip().strip('"')
        if not value or value.startswith("#") or (number == 1 and not value.lower().startswith(KEY_START)):
            continue  # a heading
        try:
            keys.append(PublicKey.from_wire(value))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    return keys, problems


def encode(answer: msgspec.Struct) -> bytes:
    """Write a body."""
    return msgspec.json.encode(answer, enc_hook=_to_wire)


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


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_COUNT = re.compile(r"[0-9]{1,9}")
_DIGITS = re.compile(r"[0-9]{1,20}")


def timestamp_string(seconds: int) -> str:
    """The form of `created_at_string`: date, time and offset, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S%z")


class _RawSharesRequest(msgspec.Struct):
    share_index: ShareIndex
    shares: Annotated[list[msgspec.Raw], AtMostItems]


class _RawExitShare(msgspec.Struct):
    public_key: str = ""


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


class FundRequest(msgspec.Struct):
    """Body of `POST /fund`: validators to top up, each with its amount in gwei."""

    vault: Address
    public_keys: Annotated[list[PublicKey], SomeItems]
    amounts: Annotated[list[PositiveUInt64], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(public_keys=self.public_keys, amounts=self.amounts)
        _require_different("public_keys", self.public_keys)


class WithdrawRequest(msgspec.Struct):
    """Body of `POST /withdraw`: validators with amounts in gwei; an amount of 0 is a full exit."""

    vault: Address
    public_keys: Annotated[list[PublicKey], SomeItems]
    amounts: Annotated[list[UInt64], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(public_keys=self.public_keys, amounts=self.amounts)
        _require_different("public_keys", self.public_keys)


class ConsolidateRequest(msgspec.Struct):
    """Body of `POST /consolidate`: each source's stake goes to the target at the same position.

    Several sources may have one target; a source that is its own target only changes its type.
    """

    vault: Address
    source_public_keys: Annotated[list[PublicKey], SomeItems]
    target_public_keys: Annotated[list[PublicKey], SomeItems]

    def __post_init__(self) -> None:
        _require_same_length(
            source_public_keys=self.source_public_keys, target_public_keys=self.target_public_keys
        )
        _require_different("source_public_keys", self.source_public_keys)


class ManagerSignatureAnswer(msgspec.Struct):
    """Answer to `POST /fund`, `/withdraw` and `/consolidate`; null means not possible now."""

    validators_manager_signature: ManagerSignature | None


def _require_same_length(**lists: Sequence[object]) -> None:
    (first, expected), (second, got) = ((name, len(values)) for name, values in lists.items())
    if expected != got:
        raise WireError(second, f"expected {expected} items as in {first}, got {got}")


def _require_different(name: str, keys: Sequence[PublicKey]) -> None:
    seen: dict[PublicKey, int] = {}
    for position, key in enumerate(keys):
        if (first := seen.setdefault(key, position)) != position:
            raise WireError(f"{name}[{position}]", f"the same as {name}[{first}]")
