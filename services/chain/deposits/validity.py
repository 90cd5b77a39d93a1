"""Which deposits make a validator: signatures are checked in batches, and only where they matter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dvtfast import Network
from dvtfast.deposits import check_deposit_signatures

from ..contracts.reads import DepositEvents

Places = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

KNOWN = -1  # the place of what made a validator before


@dataclass(frozen=True, eq=False)
class JudgedDeposits:
    """What deposits come to.

    Attributes:
        places: of those that make a validator, in the order of the chain.
        bad_signatures: how many prove nothing, for keys that had no validator until then.
    """

    places: Places
    bad_signatures: int


class DepositJudge:
    """Judges deposits of one network.

    The verdicts about pending ones are kept until others are pending: look after look most of them are
    the same, and they are final in the end.
    """

    def __init__(self, network: Network, *, threads: int | None = None) -> None:
        self._network = network
        self._threads = threads
        self._pending: dict[bytes, bool] = {}

    def judge(
        self, deposits: DepositEvents, known: Collection[bytes], *, are_pending: bool = False
    ) -> JudgedDeposits:
        """What these deposits, in the order of the chain, come to after those of the validators `known`.

        Cost: two batches of signatures at most: the first one for every new key, and whatever else there is
        for the keys whose first one is wrong.
        """
        n = len(deposits.public_keys)
        keys = deposits.public_keys.view("S48").reshape(n)
        _, first, key_of = np.unique(keys, return_index=True, return_inverse=True)
        is_new = np.array([deposits.public_keys[place].tobytes() not in known for place in first], np.bool_)
        made_at = np.where(is_new, n, KNOWN)  # for each key; n is never, so far
        verdicts: dict[bytes, bool] = {}

        def settle(places: Places) -> None:
            good = places[self._check(deposits, places, verdicts)]
            np.minimum.at(made_at, key_of[good], good)

        settle(first[is_new])
        is_first = np.zeros(n, np.bool_)
        is_first[first] = True
        settle(np.flatnonzero((made_at[key_of] == n) & ~is_first))
        if are_pending:
            self._pending = verdicts
        made = made_at[(made_at != KNOWN) & (made_at != n)]
        return JudgedDeposits(np.sort(made), int((np.arange(n) < made_at[key_of]).sum()))

    def _check(self, deposits: DepositEvents, places: Places, verdicts: dict[bytes, bool]) -> Bools:
        """Which of these prove possession; the verdicts are noted."""
        asked = deposits.at(places)
        names = _names(asked)
        known = [self._pending.get(name) for name in names]
        ok = np.array([bool(verdict) for verdict in known], np.bool_)
        is_open = np.array([verdict is None for verdict in known], np.bool_)
        rest = asked.at(is_open)
        ok[is_open] = check_deposit_signatures(
            rest.public_keys,
            rest.withdrawal_credentials,
            rest.amounts_gwei,
            rest.signatures,
            self._network,
            threads=self._threads,
        )
        verdicts.update(zip(names, ok.tolist(), strict=True))
        return ok


def _names(deposits: DepositEvents) -> list[bytes]:
    """What tells deposits apart: all that is signed, and the signature."""
    n = len(deposits.public_keys)
    amounts = np.ascontiguousarray(deposits.amounts_gwei).view(np.uint8).reshape(n, 8)
    rows = np.hstack([deposits.public_keys, deposits.withdrawal_credentials, amounts, deposits.signatures])
    return [row.tobytes() for row in rows]
