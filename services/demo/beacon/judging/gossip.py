"""What validators send, as the specification judges it before anybody passes it on.

Source: consensus-specs, `validate_*_gossip` of the p2p interface, which give a reason for each refusal.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from ..chain import JudgingChain, NotAllowedError, reason
from ..specification import bls
from .equivocation import Equivocation
from .ledger import LedgerEntry, Origin, Ruling, RulingLedger
from .pools import Pools

SEEN_BEFORE: Final = ("already seen", "block is not the first")  # how the specification says so

Judged = tuple[Ruling, str]


class Gossip:
    """Judges what is sent, keeps what is of use, and takes note of each verdict."""

    def __init__(self, chain: JudgingChain, pools: Pools, ledger: RulingLedger) -> None:
        self._chain = chain
        self._spec = chain.spec
        self._pools = pools
        self._ledger = ledger
        self._equivocation = Equivocation()
        kinds = {field.name: typing.get_origin(field.type) for field in fields(self._spec.Seen)}
        self._seen = self._spec.Seen(**{name: {} if kind is dict else set() for name, kind in kinds.items()})

    def block(self, signed: Any, sender: Origin) -> Judged:
        """A signed block, which becomes part of the chain."""
        block, chain = signed.message, self._chain
        slot, proposer = int(block.slot), int(block.proposer_index)
        root = bytes(self._spec.hash_tree_root(block))

        def check() -> None:
            if (block.proposer_index, block.slot) in self._seen.proposer_slots and not known:
                key = self._public_key(proposer)
                if self._is_signed(block, self._spec.DOMAIN_BEACON_PROPOSER, slot, key, signed.signature):
                    self._punishable(self._equivocation.block(proposer, slot, root))
                    _refuse("another block of its proposer for its slot is there")
            now = self._spec.Uint64(chain.clock.now())
            self._spec.validate_beacon_block_gossip(self._seen, chain.store, self._state(), signed, now)
            self._equivocation.block(proposer, slot, root)
            chain.add(signed)

        known = self._equivocation.knows_block(proposer, slot, root)
        return self._judge("block", slot, proposer, sender, check)

    def attestation(self, single: Any, sender: Origin) -> Judged:
        """A validator's own attestation."""
        spec, data, validator = self._spec, single.data, int(single.attester_index)
        state = self._state()

        def check() -> None:
            voted = single.attester_index, data.target.epoch
            if voted in self._seen.attestation_validator_epochs and not known:
                first = int(data.target.epoch) * int(spec.SLOTS_PER_EPOCH)
                key = self._public_key(validator)
                if self._is_signed(data, spec.DOMAIN_BEACON_ATTESTER, first, key, single.signature):
                    self._punishable(self._equivocation.vote(validator, data))
                    _refuse("another vote of its validator for its epoch is there")
            committees = spec.get_committee_count_per_slot(state, data.target.epoch)
            subnet = spec.compute_subnet_for_attestation(committees, data.slot, single.committee_index)
            now = spec.Uint64(self._chain.clock.now())
            spec.validate_beacon_attestation_gossip(self._seen, self._chain.store, state, single, now, subnet)
            self._punishable(self._equivocation.vote(validator, data))
            self._pools.add_vote(single)

        known = self._equivocation.knows_vote(validator, data)
        return self._judge("attestation", int(data.slot), validator, sender, check)

    def aggregate(self, signed: Any, sender: Origin) -> Judged:
        """An aggregator's attestation of its committee."""
        aggregate = signed.message.aggregate

        def check() -> None:
            now = self._spec.Uint64(self._chain.clock.now())
            self._spec.validate_beacon_aggregate_and_proof_gossip(
                self._seen, self._chain.store, self._state(), signed, now
            )
            self._pools.add_aggregate(aggregate)
            self._chain.add_vote(aggregate)

        validator = int(signed.message.aggregator_index)
        return self._judge("aggregate", int(aggregate.data.slot), validator, sender, check)

    def sync_message(self, message: Any, sender: Origin) -> Judged:
        """A member's message of the sync committee; it goes to all subnets where the member has a seat."""
        spec, state, validator = self._spec, self._state(), int(message.validator_index)

        def check() -> None:
            if validator >= len(state.validators):
                _refuse("validator index out of range")
            subnets = spec.compute_subnets_for_sync_committee(state, message.validator_index)
            if not subnets:
                _refuse("no member of the sync committee")
            now = spec.Uint64(self._chain.clock.now())
            for subnet in subnets:
                spec.validate_sync_committee_message_gossip(self._seen, state, message, now, subnet)
            self._pools.add_message(message)

        return self._judge("sync message", int(message.slot), validator, sender, check)

    def contribution(self, signed: Any, sender: Origin) -> Judged:
        """An aggregator's contribution of its subcommittee."""
        contribution = signed.message.contribution

        def check() -> None:
            now = self._spec.Uint64(self._chain.clock.now())
            self._spec.validate_sync_committee_contribution_and_proof_gossip(
                self._seen, self._state(), signed, now
            )
            self._pools.add_contribution(contribution)

        validator = int(signed.message.aggregator_index)
        return self._judge("contribution", int(contribution.slot), validator, sender, check)

    def exit(self, signed: Any, sender: Origin) -> Judged:
        """A voluntary exit."""
        validator, slot = int(signed.message.validator_index), self._chain.slot

        def check() -> None:
            self._spec.validate_voluntary_exit_gossip(self._seen, self._state(), signed)
            self._pools.exits[validator] = signed

        return self._judge("exit", slot, validator, sender, check)

    def registration(self, signed: Any, sender: Origin) -> Judged:
        """A registration with builders, whose domain is of no chain; there are no builders here."""
        spec, message = self._spec, signed.message
        domain = spec.compute_domain(spec.DomainType(b"\x00\x00\x00\x01"))

        def check() -> None:
            if not bls.Verify(message.pubkey, spec.compute_signing_root(message, domain), signed.signature):
                _refuse("invalid registration signature")

        return self._judge("registration", self._chain.slot, None, sender, check)

    def _state(self) -> Any:
        """What the validators of now are judged by."""
        return self._chain.state(self._chain.head, self._chain.slot)

    def _judge(
        self, kind: str, slot: int, validator: int | None, sender: Origin, check: Callable[[], None]
    ) -> Judged:
        verdict, why = Ruling.ACCEPTED, ""
        try:
            check()
        except self._spec.GossipIgnore as error:
            why = str(error)
            verdict = Ruling.KNOWN if why.startswith(SEEN_BEFORE) else Ruling.REFUSED
        except (self._spec.GossipReject, NotAllowedError) as error:
            verdict, why = Ruling.REFUSED, str(error)
        except (
            Exception
        ) as error:  # a failed assertion of the specification, or an index that is out of range
            verdict, why = Ruling.REFUSED, reason(error)
        self._ledger.add(LedgerEntry(kind, slot, self._chain.slot, validator, sender, verdict, why))
        return verdict, why

    def _public_key(self, validator: int) -> bytes:
        return bytes(self._state().validators[validator].pubkey)

    def _is_signed(self, signed: Any, domain_type: Any, slot: int, public_key: bytes, signature: Any) -> bool:
        epoch = self._spec.compute_epoch_at_slot(self._spec.Slot(slot))
        domain = self._spec.get_domain(self._state(), domain_type, epoch)
        return bool(bls.Verify(public_key, self._spec.compute_signing_root(signed, domain), signature))

    def _punishable(self, what: str | None) -> None:
        if what is not None:
            self._ledger.add_slashable(what)


def _refuse(why: str) -> None:
    raise NotAllowedError(why)
