"""The mathematics of a ceremony: what one node deals, and what it makes of everything that was dealt.

Source: FROST (eprint 2020/852), figure 1; charon's kryptology, pkg/dkg/frost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from dvtfast._arrays import Bytes
from dvtfast._secrets import wiped
from dvtfast.dkg import polynomials
from dvtfast.dkg.coefficients import Coefficients
from dvtfast.dkg.commitments import as_parts
from dvtfast.dkg.frost.casts import Round1, Round2, Shares, share_index
from dvtfast.dkg.frost.messages import BadMessageError
from dvtfast.dkg.frost.proof_of_knowledge import find_bad, prove
from dvtfast.dkg.outputs import GeneratedKeys
from dvtfast.errors import BadDealerError, EncodingError
from dvtfast.keys import PublicKeys


class Dealing:
    """What this node deals: polynomials of its own, told to everybody as commitments, and their values.

    Attributes:
        cast: for everybody.
    """

    __slots__ = ("_coefficients", "cast")

    def __init__(self, coefficients: Coefficients, position: int, *, nonces: Bytes | None = None) -> None:
        self._coefficients = coefficients
        commitments = polynomials.commit(coefficients)
        responses, challenges = prove(coefficients, commitments, share_index(position), nonces=nonces)
        self.cast = Round1(responses, challenges, commitments.encoded)

    @classmethod
    def draw(cls, validators: int, threshold: int, position: int) -> Self:
        """From the operating system's randomness: another one each time, as no ceremony is ever resumed."""
        return cls(Coefficients.generate(validators, threshold), position)

    def shares_for(self, position: int) -> Bytes:
        """The shares uint8[m, 32] of the node at a position; secret."""
        return polynomials.evaluate(self._coefficients, share_index(position))

    def wipe(self) -> None:
        """Forget the polynomials."""
        self._coefficients.wipe()


def combine(
    casts: Sequence[Round1], shares: Sequence[Shares], position: int
) -> tuple[GeneratedKeys, PublicKeys]:
    """The keys of the node at a position, from what every node dealt in the order of their positions.

    Their public key shares come decoded, too, of shape (n, m).

    Everything comes from the commitments. The shares are checked against them, and overwritten.

    Raises:
        BadDealerError: what a dealer sent is wrong.
    """
    n, own = len(casts), share_index(position)
    parts = as_parts([cast.commitments for cast in casts])
    for dealer, (part, cast) in enumerate(zip(parts, casts, strict=True)):
        if dealer != position and (bad := find_bad(part, cast.responses, cast.challenges, dealer + 1)):
            raise BadDealerError(dealer, bad[0], 0, "the proof that the dealer knows it is wrong")
    sums = polynomials.sum_commitments(parts)
    with wiped(*(each.values for each in shares)):
        total = polynomials.add_shares([each.values for each in shares])
        if len(polynomials.find_bad_shares(total, sums, own)):
            total.fill(0)
            for dealer, (part, given) in enumerate(zip(parts, shares, strict=True)):
                wrong = polynomials.find_bad_shares(given.values, part, own)
                if len(wrong):
                    raise BadDealerError(dealer, int(wrong[0]), None, "does not fit the dealer's commitments")
            raise AssertionError("unreachable: sums of what fits do fit")
    public_keys = sums.encoded[:, 0].copy()
    if (twice := _repeated(public_keys)) is not None:
        total.fill(0)
        raise BadDealerError(None, twice, 0, "the validator has the key of another")
    try:
        public_shares = polynomials.public_shares(sums, list(range(1, n + 1)))
    except EncodingError as error:  # a dealer that spoke last can make somebody's share zero
        total.fill(0)
        validator = int(error.indices[0]) % len(public_keys) if len(error.indices) else 0
        raise BadDealerError(None, validator, None, str(error)) from None
    return GeneratedKeys(public_keys, public_shares.encoded, total), public_shares


def check_round2(cast: Round2, keys: GeneratedKeys, position: int) -> None:
    """Return when the node at a position has come to the same keys as this one.

    charon believes what it says of its public key shares.

    Raises:
        BadMessageError: it has not.
    """
    for name, said, known in (
        ("verification_key", cast.public_keys, keys.public_keys),
        ("vk_share", cast.public_shares, keys.public_shares[position]),
    ):
        wrong = np.flatnonzero((said != known).any(axis=1))
        if wrong.size:
            raise BadMessageError(f"{name}: not what the commitments say, for validator {wrong[0]}")


def _repeated(keys: Bytes) -> int | None:
    """The first place of a row that was there before."""
    seen = set()
    for place, key in enumerate(keys):
        if (text := key.tobytes()) in seen:
            return place
        seen.add(text)
    return None
