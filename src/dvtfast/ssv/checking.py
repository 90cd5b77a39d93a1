"""Whether all that is public of validators fits together, as a node of SSV would judge it, and stricter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvtfast.errors import EncodingError
from dvtfast.keys import PublicKeys
from dvtfast.ssv.owners import check_owner_signatures
from dvtfast.ssv.shares import KeyShares, threshold_of
from dvtfast.threshold import check_public_key_shares


def check_key_shares(validators: Sequence[KeyShares], *, threads: int | None = None) -> list[str]:
    """What is wrong with each validator; an empty text for those that are right.

    A validator is right when its keys are valid points, its key signed for its owner and nonce, and its
    public key shares interpolate to its key. The rest of a batch with wrong ones is judged as ever.
    """
    problems = [""] * len(validators)
    clusters: dict[tuple[int, ...], list[int]] = {}
    for place, item in enumerate(validators):
        clusters.setdefault(item.operator_ids, []).append(place)
    for places in clusters.values():
        found = _check_cluster([validators[place] for place in places], threads)
        for place, problem in zip(places, found, strict=True):
            problems[place] = problem
    return problems


def _check_cluster(validators: Sequence[KeyShares], threads: int | None) -> list[str]:
    """The same for validators with the same operators."""
    operator_ids = validators[0].operator_ids
    encoded = np.stack(
        [
            np.concatenate([np.frombuffer(v.public_key, np.uint8)[np.newaxis], v.public_key_shares])
            for v in validators
        ]
    )
    problems = [""] * len(validators)
    try:
        keys = PublicKeys(encoded, threads=threads)
    except EncodingError as error:
        for index in reversed(error.indices):
            row, column = divmod(index, encoded.shape[1])
            whose = f"public key share of operator {operator_ids[column - 1]}" if column else "public key"
            problems[row] = f"its {whose} is no valid public key"
        rows = [row for row, problem in enumerate(problems) if not problem]
        keys = PublicKeys(encoded[rows], threads=threads)
    sound = [row for row, problem in enumerate(problems) if not problem]
    public_keys, shares = keys[:, 0], keys[:, 1:]
    signed = check_owner_signatures([validators[row] for row in sound], public_keys, threads=threads)
    threshold = threshold_of(len(operator_ids))
    fits = check_public_key_shares(
        public_keys, shares, validators[0].share_indices, threshold=threshold, threads=threads
    )
    for row, is_signed, does_fit in zip(sound, signed, fits, strict=True):
        if not is_signed:
            problems[row] = f"its key did not sign for its owner at nonce {validators[row].owner_nonce}"
        elif not does_fit:
            problems[row] = f"its public key shares do not give its public key with threshold {threshold}"
    return problems
