"""What to do about a round, for who was woken at night: the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from .answers import Advice, Level, OperatorStatus, RoundStatus

SENDING_SECONDS = 30  # for so long nobody is missed: after a round began, and after an operator's last share
URGENCY: dict[Level, int] = {"act": 0, "watch": 1, "fine": 2}


def advice_about(
    round_: RoundStatus, operators: Sequence[OperatorStatus], threshold: int, *, now: float
) -> list[Advice]:
    """What is the matter with a round, and what to do."""
    if not round_.validators:
        return [Advice("fine", "Nobody has asked for validators.", "Nothing to do.", "no-round")]
    advice = [
        *_bad(round_, operators),
        *_missing(round_, operators, now),
        *_spare(round_, operators, threshold),
    ]
    if round_.undecided:
        text = f"{_validators(round_.undecided)} hold a bad share, and nobody can tell yet whose it is."
        do = "Get shares from one more operator; with its share the bad one is found."
        advice.append(Advice("act", text, do, "undecided"))
    if not round_.waiting and not round_.undecided:
        text = f"All {_validators(round_.ready)} of the round are ready."
        advice.append(Advice("fine", text, "Nothing to do; the operator service fetches them.", "ready"))
    return sorted(advice, key=lambda each: URGENCY[each.level])


def _bad(round_: RoundStatus, operators: Sequence[OperatorStatus]) -> Iterator[Advice]:
    blocks = bool(round_.waiting or round_.undecided)
    for operator in operators:
        if operator.bad:
            yield Advice(
                "act" if blocks else "watch",
                f"Operator {operator.share_index} sent bad shares for {_validators(operator.bad)}.",
                "Have its key shares compared with the cluster's files: dvtfast keys verify, beside its node."
                + ("" if blocks else " The others were enough, so nobody waits for it."),
                "bad-shares",
            )


def _missing(round_: RoundStatus, operators: Sequence[OperatorStatus], now: float) -> Iterator[Advice]:
    if not round_.waiting:
        return
    missing = sorted((o for o in operators if o.missing), key=attrgetter("missing"), reverse=True)
    for operator in missing:
        lack = "lacks" if operator.missing == 1 else "lack"
        text = f"{_validators(operator.missing)} {lack} a share of operator {operator.share_index}"
        if now - max(operator.last_share_at, round_.begun_at) < SENDING_SECONDS:
            yield Advice("watch", f"{text}.", "It may be on its way.", "missing-shares")
            continue
        yield Advice(
            "act",
            f"{text}.",
            "See whether its sidecar runs and reaches this relayer; its log says what it refuses to sign.",
            "missing-shares",
        )
    if not operators:
        text = f"{_validators(round_.waiting)} wait, and no operator has sent anything."
        yield Advice("act", text, "Start the sidecars, with this relayer as --relayer.", "missing-shares")


def _spare(round_: RoundStatus, operators: Sequence[OperatorStatus], threshold: int) -> Iterator[Advice]:
    """Operators that the round did without."""
    if round_.waiting:
        return
    absent = [o for o in operators if o.not_needed == round_.validators]
    left = len(operators) - len(absent) - threshold
    for operator in absent:
        yield Advice(
            "watch",
            f"Operator {operator.share_index} signed nothing in this round.",
            f"The round did without it. {left} more may fail before rounds stop." if left > 0 else
            "The round did without it, but with one more away rounds stop: have its sidecar looked at.",
            "missing-shares",
        )  # fmt: skip


def _validators(count: int) -> str:
    return "1 validator" if count == 1 else f"{count:,} validators"
