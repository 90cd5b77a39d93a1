"""What is shown of exits: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from ...chain.beacon.client import ValidatorDetails
from ...chain.encoding import write_data
from ...keys.output import show
from ..cluster import NodeCluster
from ..exits.states import ExitState

COLUMNS: Final = ("validator", "exit", "problem")
CHAIN_COLUMNS: Final = ("validator", "index", "status", "exit", "problem")
NOT_THERE: Final = "not on the chain"


def show_exits(
    states: Sequence[ExitState],
    cluster: NodeCluster,
    details: Mapping[bytes, ValidatorDetails] | None,
    *,
    as_json: bool,
) -> None:
    """Print how far exits are.

    Args:
        details: what the chain says of validators, by key, where it was asked.
    """
    threshold = cluster.members.keys.threshold
    if as_json:
        click.echo(msgspec.json.encode([_as_json(state, threshold, details) for state in states]))
        return
    rows = []
    for state in states:
        there = None if details is None else details.get(state.validator)
        others = ", ".join(map(str, state.other_epochs))
        rows.append(
            {
                "validator": write_data(state.validator),
                "index": "" if there is None else str(there.index),
                "status": NOT_THERE if there is None else there.status,
                "exit": state.described(threshold),
                "problem": state.problem or (f"nodes signed other epochs, too: {others}" if others else ""),
            }
        )
    show(COLUMNS if details is None else CHAIN_COLUMNS, rows, as_json=False)


def _as_json(
    state: ExitState, threshold: int, details: Mapping[bytes, ValidatorDetails] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"public_key": write_data(state.validator)}
    if details is not None:
        there = details.get(state.validator)
        row |= {
            "validator_index": None if there is None else there.index,
            "status": None if there is None else there.status,
        }
    return row | {
        "exit_epoch": state.epoch,
        "ordered": state.is_ordered,
        "signed_by": state.signed_by,
        "threshold": threshold,
        "signed": state.whole is not None,
        "wanted": state.is_wanted,
        "sent_at": None if state.whole is None else state.whole.sent_at,
        "other_epochs": state.other_epochs,
        "problem": state.problem,
    }
