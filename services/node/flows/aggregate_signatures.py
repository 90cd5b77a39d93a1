"""Whether what several are said to have signed as one is what they signed, as far as that can be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from dvtfast import PublicKeys, SignatureError, check_signature_encodings, fast_aggregate_verify
from dvtfast.duties.signed_sets import SignedSet

NO_SIGNATURE: Final = "its signature is none that anybody can have made"
OTHER_SIGNATURE: Final = "its signature is not that of those who are in it"


def signers_of(places: Collection[int], ours: Mapping[int, int]) -> tuple[int, ...] | None:
    """The positions of our validators that are in these places; None where others are in some of them."""
    return tuple(ours[place] for place in places) if ours.keys() >= set(places) else None


def why_not_signed(
    keys: PublicKeys, signed: SignedSet, signers: Sequence[tuple[int, ...] | None]
) -> list[str]:
    """For each of a set why its signature is none; empty where it is good, or nobody here can tell; slow.

    Args:
        keys: of our validators, by their positions.
        signed: what is said to have been signed, with the signatures.
        signers: by whom, as `signers_of`; keys of others are not known here.
    """
    whole = check_signature_encodings(signed.signatures).tolist()
    found: dict[tuple[bytes, bytes, tuple[int, ...] | None], str] = {}
    why = []
    for root, signature, of, is_one in zip(
        signed.signing_roots, signed.signatures, signers, whole, strict=True
    ):
        each = root.tobytes(), signature.tobytes(), of
        if each not in found:
            found[each] = "" if is_one else NO_SIGNATURE
            if is_one and of is not None:
                try:
                    fast_aggregate_verify(keys[np.array(of, np.intp)], root, signature)
                except SignatureError:
                    found[each] = OTHER_SIGNATURE
        why.append(found[each])
    return why
