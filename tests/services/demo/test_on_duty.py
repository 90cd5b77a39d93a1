"""The verdict of the demo of a cluster on duty, which must be able to go against it.

The demo itself goes by the clock, so a busy machine would decide; `make demo-duties` runs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dvtfast import check_signatures, derive_public_keys, generate_secret_keys, sign
from dvtfast.services.demo.on_duty.liar import negative
from dvtfast.services.demo.on_duty.summary import DutiesSummary
from dvtfast.services.settings import DemoSettings

LIAR = 0
EPOCH = {"epoch": 0, "expected": 64, "included": 64, "absent": [], "distances": {"1": 60, "2": 4}}
SETTINGS = DemoSettings.load({"duties": "true"}, {})


def a_report(**changes: Any) -> dict[str, Any]:
    """What the chain says when all is well."""
    return {
        "epoch": 5,
        "blocks": {"proposed": 39, "missed": []},
        "sync_participation": {"included": 1248, "possible": 1248},
        "epochs": [EPOCH] * 4,
        "justified_epoch": 3,
        "finalized_epoch": 2,
        "refused": [],
        "slashable": [],
    } | changes


def a_status(faulty: int | None = LIAR) -> dict[str, Any]:
    faults = (
        [] if faulty is None else [{"node": faulty, "text": "a wrong partial signature", "validators": 3}]
    )
    duty = {"type": "attester", "done": 8, "missed": 0, "steps": {"sent": 0.25}, "faults": faults}
    return {"duties": [duty, duty | {"steps": {"sent": 0.75}}]}


def verdict(report: dict[str, Any], faulty: int | None = LIAR) -> DutiesSummary:
    return DutiesSummary.of(SETTINGS, report, [a_status(faulty)] * 4, {}, liar=LIAR)


def test_all_is_well() -> None:
    summary = verdict(a_report())
    assert summary.problems == ()
    assert (summary.blocks, summary.votes, summary.blamed) == ((39, 39), (256, 256), 6)
    assert summary.distances == {"1": 240, "2": 16}
    (attester,) = summary.duties
    assert (attester.performed, attester.missed, attester.seconds) == (16, 0, {"sent": 0.5})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocks": {"proposed": 38, "missed": [{"slot": 17, "validator": 3}]}}, "no block in slots 17"),
        ({"finalized_epoch": 1}, "epoch 1 is final, 2 should be"),
        ({"slashable": ["two votes of validator 3"]}, "would be slashed was signed: two votes"),
        ({"refused": [{"kind": "block", "reason": "late"}]}, "the chain refused 1 messages: block: late"),
        ({"epochs": [EPOCH | {"absent": [5]}] * 2}, "epoch 0: 1 votes are not in the chain"),
    ],
)  # fmt: skip
def test_what_is_not_well_is_said(changes: dict[str, Any], said: str) -> None:
    (problem,) = verdict(a_report(**changes)).problems
    assert said in problem


def test_a_lie_that_nobody_noticed() -> None:
    assert verdict(a_report(), faulty=1).problems == ("nobody noticed the node that lied",)


def test_a_lie_is_a_point_that_verifies_for_nothing() -> None:
    secret_keys, roots = generate_secret_keys(1), np.zeros((1, 32), np.uint8)
    signature = sign(secret_keys, roots)
    lie = np.frombuffer(negative(signature[0].tobytes()), np.uint8).reshape(1, 96)
    keys = derive_public_keys(secret_keys)
    assert check_signatures(keys, roots, signature).tolist() == [True]
    assert check_signatures(keys, roots, lie).tolist() == [False]
    assert negative(lie[0].tobytes()) == signature[0].tobytes()
