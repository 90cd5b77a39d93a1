"""Which additions a node of SSV would take: those that are whole, and signed for their owner at its nonce."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from dvtfast import InputError
from dvtfast.ssv import KeyShares, check_key_shares, parse_key_shares

from .events import ValidatorAdded

Verdict: TypeAlias = KeyShares | str | None
"""The validator, or what is wrong with it; None of what is not for our operators."""


def judge(
    additions: Sequence[ValidatorAdded],
    nonces: Sequence[int],
    operator_ids: AbstractSet[int],
    *,
    threads: int | None,
) -> list[Verdict]:
    """A verdict on each addition.

    Args:
        nonces: of the owner of each at that moment.
        operator_ids: ours.
    """
    verdicts = [_parse(event, nonce, operator_ids) for event, nonce in zip(additions, nonces, strict=True)]
    places = [place for place, verdict in enumerate(verdicts) if isinstance(verdict, KeyShares)]
    parsed = [verdict for verdict in verdicts if isinstance(verdict, KeyShares)]
    for place, problem in zip(places, check_key_shares(parsed, threads=threads), strict=True):
        if problem:
            verdicts[place] = problem
    return verdicts


def _parse(event: ValidatorAdded, nonce: int, ours: AbstractSet[int]) -> Verdict:
    if event.problem and not event.operator_ids:
        return event.problem  # whose it is cannot be read
    if ours.isdisjoint(event.operator_ids):
        return None
    if event.problem:
        return event.problem
    try:
        return parse_key_shares(
            event.public_key,
            event.operator_ids,
            event.shares_data,
            owner_address=event.owner,
            owner_nonce=nonce,
        )
    except InputError as error:
        return str(error)
