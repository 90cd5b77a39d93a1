"""How the chain did: what was proposed, included and made final, by the chain alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .chain import BlockSummary, JudgingChain
from .judging.ledger import RulingLedger

SOURCE, TARGET, HEAD = range(3)  # flags of an attestation, as the specification numbers them


def report(chain: JudgingChain, ledger: RulingLedger) -> dict[str, Any]:
    """What the JSON of it is made from.

    `epochs` has one entry for each epoch whose attestations can be in no block to come: of how many
    validators the vote was included, at which distances, and how many voted right. Blocks of slots that are
    over count as proposed or missed; who missed is told.
    """
    spec, line = chain.spec, list(chain.line(chain.head))
    summaries = [chain.summaries[root] for root in reversed(line) if root in chain.summaries]
    by_slot = {summary.slot: summary for summary in summaries}
    over = range(1, chain.slot)
    state = chain.state(chain.head)
    seats = int(spec.SYNC_COMMITTEE_SIZE)
    return {
        "slot": chain.slot,
        "epoch": chain.slot // int(spec.SLOTS_PER_EPOCH),
        "validators": len(state.validators),
        "head_slot": int(chain.store.blocks[chain.head].slot),
        "justified_epoch": int(state.current_justified_checkpoint.epoch),
        "finalized_epoch": int(state.finalized_checkpoint.epoch),
        "blocks": {
            "proposed": sum(slot in by_slot for slot in over),
            "missed": [
                {"slot": slot, "validator": chain.proposers.get(slot)} for slot in over if slot not in by_slot
            ],
            "late": [summary.slot for summary in summaries if summary.is_late],
            "orphaned": sorted(
                summary.slot for root, summary in chain.summaries.items() if root not in set(line)
            ),
        },
        "sync_participation": {
            "possible": seats * len(summaries),
            "included": sum(summary.sync_bits for summary in summaries),
            "least": min((summary.sync_bits for summary in summaries[1:]), default=0),
            "seats": seats,
        },
        "epochs": _epochs(chain, summaries),
        "verdicts": ledger.counts(),
        "refused": [entry.shown() for entry in ledger.refused()],
        "slashable": ledger.slashable,
    }


def _epochs(chain: JudgingChain, summaries: list[BlockSummary]) -> list[dict[str, Any]]:
    """Of each validator's vote only its first inclusion counts, its flags whenever they did."""
    per_epoch = int(chain.spec.SLOTS_PER_EPOCH)
    distances: dict[int, dict[int, int]] = {}
    flags: dict[int, dict[int, set[int]]] = {}
    for summary in summaries:
        for inclusion in summary.inclusions:
            epoch = inclusion.slot // per_epoch
            for validator in inclusion.validators:
                distances.setdefault(epoch, {}).setdefault(validator, inclusion.distance)
                flags.setdefault(epoch, {}).setdefault(validator, set()).update(inclusion.flags)
    validators = len(chain.genesis.validators)
    found = []
    for epoch in range(max(chain.slot // per_epoch - 1, 0)):
        included, right = distances.get(epoch, {}), flags.get(epoch, {})
        # Validators of the slot of genesis vote, too; whether anybody was there yet is another question.
        found.append({
            "epoch": epoch,
            "expected": validators,
            "included": len(included),
            "absent": sorted(set(range(validators)) - set(included)),
            "distances": {str(d): number for d, number in sorted(Counter(included.values()).items())},
            "right_source": sum(SOURCE in each for each in right.values()),
            "right_target": sum(TARGET in each for each in right.values()),
            "right_head": sum(HEAD in each for each in right.values()),
        })  # fmt: skip
    return found
