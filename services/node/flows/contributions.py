"""Whether a contribution is one to sign: of a subcommittee in which its maker is selected, of somebody."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dvtfast.duties.bits import set_positions
from dvtfast.duties.duty_types import DutyType
from dvtfast.duties.presets import SYNC_COMMITTEE_SUBNET_COUNT
from dvtfast.duties.signed_sets import signed_set
from dvtfast.duties.sync_committees import SyncCommitteeContribution, SyncCommitteeMessage
from dvtfast.duties.wrappers import AgreedValue

from ...chain.beacon.client import BeaconError
from ..parts import NodeParts
from .aggregate_signatures import signers_of, why_not_signed
from .agreeing import Objection
from .heads import why_no_head

NO_MEMBER: Final = "it is for a validator that is not in the subcommittee"
NOT_SELECTED: Final = "it is for a validator that is not selected in the subcommittee"
NO_PROOF: Final = "it is for a validator of which no selection proof for the subcommittee has come here"

GoodContributions = dict[int, dict[int, SyncCommitteeContribution]]
"""By subcommittee and the validator's position."""


@dataclass(frozen=True)
class SlotContributions:
    """What this node knows of a slot, by which a contribution is judged.

    Attributes:
        places: by subcommittee and place in it, the position of a validator of ours.
        proved: by subcommittee, whose selection proofs are there.
        selected: by the same, who of them contributes.
    """

    node: NodeParts
    slot: int
    places: Mapping[int, Mapping[int, int]]
    proved: Mapping[int, Collection[int]]
    selected: Mapping[int, Collection[int]]

    async def judged(
        self, values: Mapping[int, AgreedValue]
    ) -> tuple[GoodContributions, dict[Objection, list[int]]]:
        """What may be signed, and why whose else is left out."""
        found: dict[tuple[int, int], SyncCommitteeContribution] = {}
        refused: dict[Objection, list[int]] = {}
        for position, contributions in values.items():
            assert isinstance(contributions, tuple)
            for each in contributions:
                why, key = self._why_not(position, each), (each.subcommittee_index, position)
                if why is None and key in found:
                    why = Objection("it has two contributions of one subcommittee")
                if why is None:
                    found[key] = each
                else:
                    refused.setdefault(why, []).append(position)
        texts = await self.node.workers.run(self._why_not_signed, list(found.values())) if found else []
        good: GoodContributions = {}
        for ((subcommittee, position), each), text in zip(found.items(), texts, strict=True):
            if text:
                refused.setdefault(Objection(text), []).append(position)
            else:
                good.setdefault(subcommittee, {})[position] = each
        return good, refused

    async def why_no_heads(self, values: Mapping[int, AgreedValue]) -> Objection | None:
        """What there is to be said against the blocks that contributions are for."""
        if (voted := self.node.voted_heads.get(self.slot)) is None:
            return None
        roots = {
            each.beacon_block_root
            for contributions in values.values()
            if isinstance(contributions, tuple)
            for each in contributions
        } - {voted}
        if len(roots) > SYNC_COMMITTEE_SUBNET_COUNT:
            return Objection("it is for more blocks than there are subcommittees")
        try:
            for root in roots:
                if (why := (await why_no_head(self.node, voted, root))[1]) is not None:
                    return why
        except BeaconError:
            pass
        return None

    def _why_not(self, position: int, each: SyncCommitteeContribution) -> Objection | None:
        """Why a contribution is not signed, whatever its signature is."""
        subcommittee = each.subcommittee_index
        if position not in self.places.get(subcommittee, {}).values():
            return Objection(NO_MEMBER)
        if position not in self.proved.get(subcommittee, ()):
            return Objection(NO_PROOF, is_certain=False)
        if position not in self.selected.get(subcommittee, ()):
            return Objection(NOT_SELECTED)
        if each.slot != self.slot:
            return Objection("its contribution is of another slot")
        if not set_positions(each.aggregation_bits):
            return Objection("its contribution is of nobody")
        return None

    def _why_not_signed(self, contributions: Sequence[SyncCommitteeContribution]) -> list[str]:
        node = self.node
        messages = [
            SyncCommitteeMessage(each.slot, each.beacon_block_root, 0, each.signature)
            for each in contributions
        ]
        signers = [
            signers_of(set_positions(each.aggregation_bits), self.places[each.subcommittee_index])
            for each in contributions
        ]
        signed = signed_set(DutyType.SYNC_MESSAGE, messages, node.schedule, node.preset)
        return why_not_signed(node.cluster.keys.public_keys, signed, signers)
