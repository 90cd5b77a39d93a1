"""Deposits of all kinds, signed by milagro, and what consensus makes of them, by a plain Python model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from eth_abi import encode

from dvtfast import GNOSIS, HOODI, Network
from dvtfast.services.chain.contracts.reads import DEPOSIT_EVENT
from dvtfast.services.chain.execution.node import Log
from tests import reference
from tests.reference import G1_INFINITY, G2_INFINITY
from tests.samples import public_key, sign, verifies

GWEI = 32 * 10**9


@dataclass(frozen=True)
class Deposit:
    """What somebody deposits."""

    public_key: bytes
    withdrawal_credentials: bytes
    amount_gwei: int
    signature: bytes

    def signing_root(self, network: Network = HOODI) -> bytes:
        root = reference.deposit_message_root(self.public_key, self.withdrawal_credentials, self.amount_gwei)
        return reference.signing_root(root, network.deposit_domain)

    def log(self, index: int, block_number: int) -> Log:
        """The event of the deposit contract."""
        amount, place = (number.to_bytes(8, "little") for number in (self.amount_gwei, index))
        values = [self.public_key, self.withdrawal_credentials, amount, self.signature, place]
        data = encode(["bytes"] * 5, values)
        return Log(bytes(20), (DEPOSIT_EVENT,), data, block_number, bytes(32), index)


@cache
def signed(secret_key: int, *, amount_gwei: int = GWEI, network: Network = HOODI) -> Deposit:
    """The deposit of the validator with this secret key."""
    unsigned = Deposit(public_key(secret_key), b"\x01" + bytes(31), amount_gwei, bytes(96))
    return replace(unsigned, signature=sign(secret_key, unsigned.signing_root(network)))


def bad(secret_key: int, kind: int) -> Deposit:
    """A deposit that proves nothing, of one of `BAD_KINDS` kinds."""
    good = signed(secret_key)
    kinds: list[Callable[[], Deposit]] = [
        lambda: replace(good, signature=bytes(96)),
        lambda: replace(good, signature=G2_INFINITY),
        lambda: replace(good, signature=b"\xff" * 96),
        lambda: replace(good, signature=signed(secret_key + 1).signature),
        lambda: replace(good, signature=outside_g2()),
        lambda: replace(good, amount_gwei=good.amount_gwei + 1),
        lambda: replace(good, withdrawal_credentials=bytes(32)),
        lambda: signed(secret_key, network=GNOSIS),
        lambda: replace(good, public_key=bytes([good.public_key[0] & 0x7F]) + good.public_key[1:]),
        lambda: replace(good, public_key=b"\x9f" + b"\xff" * 47),
        lambda: replace(good, public_key=G1_INFINITY, signature=G2_INFINITY),
    ]
    return kinds[kind]()


BAD_KINDS = 11


@cache
def outside_g2() -> bytes:
    """A point of the curve that is not in G2."""
    return reference.g2_bytes(next(reference.curve_points_g2()))


@cache
def proves_possession(deposit: Deposit) -> bool:
    """As milagro says."""
    try:
        return verifies(deposit.public_key, deposit.signing_root(), deposit.signature)
    except ValueError:  # what does not decode
        return False


@dataclass
class Model:
    """A list of validators, as the specification has it.

    Source: consensus-specs electra, `apply_pending_deposit`.
    """

    validators: list[bytes] = field(default_factory=list)
    bad_signatures: int = 0

    def apply(self, *deposits: Deposit) -> Model:
        for deposit in deposits:
            if deposit.public_key in self.validators:
                continue
            if proves_possession(deposit):
                self.validators.append(deposit.public_key)
            else:
                self.bad_signatures += 1
        return self


def logs_of(deposits: Sequence[Deposit], *, first: int = 0, block_number: int = 7) -> list[Log]:
    """Their events, one after the other in a block."""
    return [deposit.log(index, block_number) for index, deposit in enumerate(deposits, first)]
