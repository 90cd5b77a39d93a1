"""What the beacon chain would not do, so that nobody pays for it: it passes over such requests in silence.

Source: consensus-specs, electra/beacon-chain.md: `process_withdrawal_request`,
`process_consolidation_request`, `is_valid_switch_to_compounding_request`, of which fulu changes nothing; what
StakeWise's operator looks at. One condition is left out, as no node tells of it: consolidations need a churn
of more than 32 ETH an epoch, which mainnet and hoodi have while 19 million ETH are staked, and gnosis always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.networks import Network

from ...chain import units
from ...chain.beacon.client import ACTIVE_STATUS, FAR_FUTURE_EPOCH, WAITING_STATUSES, ValidatorDetails
from ...chain.contracts.manager_messages import COMPOUNDING, ETH1_ADDRESS
from ...chain.encoding import ADDRESS_BYTES
from ...settings.orders import AmountOrder, ConsolidationOrder
from .beacon_view import BeaconView, moved_gwei

# Source: consensus-specs, presets and configs of phase0 and electra; the same on all networks.
SHARD_COMMITTEE_PERIOD: Final = 256  # epochs from activation to the first exit
MIN_DEPOSIT_GWEI: Final = 10**9
PENDING_PARTIAL_WITHDRAWALS_LIMIT: Final = 1 << 27
PENDING_CONSOLIDATIONS_LIMIT: Final = 1 << 18
SHOWN_PROBLEMS: Final = 20


@dataclass(frozen=True)
class BeaconRules:
    """Whether the beacon chain would do what a vault asks it for.

    Attributes:
        max_balance_gwei: what a validator may have at most when stake is added.
    """

    view: BeaconView
    network: Network
    vault: bytes
    max_balance_gwei: int

    def of_withdrawals(self, wanted: Sequence[AmountOrder]) -> list[str]:
        """What is against withdrawals and exits, a line each."""
        found = [f"{each.shown}: {reason}" for each in wanted for reason in self._of_withdrawal(each)]
        waiting, parts = len(self.view.withdrawals), sum(each.gwei is not None for each in wanted)
        if parts and waiting + parts > PENDING_PARTIAL_WITHDRAWALS_LIMIT:
            found.append(f"the queue of partial withdrawals is full: {waiting} wait")
        return found

    def of_top_ups(self, wanted: Sequence[AmountOrder]) -> list[str]:
        """The same of stake that is added from the vault."""
        found = []
        for each in wanted:
            assert each.gwei is not None, "a top-up has an amount"
            reasons = self._of(each.public_key, self._type_2, self._takes_stake)
            reasons = reasons or self._too_much(each.public_key, each.gwei)
            if each.gwei < MIN_DEPOSIT_GWEI:
                least = self._stake(MIN_DEPOSIT_GWEI)
                reasons.append(
                    f"{self._stake(each.gwei)} are wanted, the deposit contract takes {least} or more"
                )
            found += [f"{each.shown}: {reason}" for reason in reasons]
        return found

    def of_consolidations(self, pairs: Sequence[ConsolidationOrder]) -> list[str]:
        """The same of stake that moves, or of validators that are to compound."""
        moved = [pair for pair in pairs if not pair.is_switch]
        found = []
        for pair in pairs:
            if pair.is_switch:
                reasons = self._of(pair.source, self._type_1, self._stays)
                found += [f"{pair.source.to_wire()}: {reason}" for reason in reasons]
        sources = {pair.source for pair in moved}
        for pair in moved:
            reasons = self._of(pair.source, self._stays, self._may_exit, self._is_in_no_queue)
            found += [f"{pair.source.to_wire()}: {reason}" for reason in reasons]
        for target in dict.fromkeys(pair.target for pair in moved):
            reasons = self._of(target, self._type_2, self._stays)
            if target in sources:
                reasons.append("it is a source of this, too, so it ends")
            if not reasons:
                added = self._moved([pair.source for pair in moved if pair.target == target])
                reasons = self._too_much(target, added)
            found += [f"{target.to_wire()}: {reason}" for reason in reasons]
        waiting = len(self.view.consolidations)
        if moved and waiting + len(moved) > PENDING_CONSOLIDATIONS_LIMIT:
            found.append(f"the queue of consolidations is full: {waiting} wait")
        return found

    def _of(self, key: bytes, *rules: Callable[[ValidatorDetails], Iterator[str]]) -> list[str]:
        """What is against a validator of this vault."""
        details = self.view.validators.get(bytes(key))
        if details is None:
            return ["the beacon chain does not know it; its deposit may still wait"]
        kind, address = details.withdrawal_credentials[0], details.withdrawal_credentials[-ADDRESS_BYTES:]
        if kind not in (ETH1_ADDRESS, COMPOUNDING) or address != self.vault:
            return ["its withdrawal credentials are not this vault's"]
        return [reason for rule in rules for reason in rule(details)]

    def _of_withdrawal(self, wanted: AmountOrder) -> list[str]:
        if wanted.gwei is None:
            return self._of(wanted.public_key, self._stays, self._may_exit, self._is_in_no_queue)
        reasons = self._of(wanted.public_key, self._type_2, self._stays, self._may_exit, self._is_whole)
        if reasons:
            return reasons
        details = self.view.validators[bytes(wanted.public_key)]
        waiting = self.view.withdrawing_gwei(details.index)
        most = max(0, details.balance_gwei - GWEI_PER_VALIDATOR - waiting)
        if wanted.gwei <= most:
            return []
        also = f" and the {self._stake(waiting)} that wait to be withdrawn" * bool(waiting)
        least = self._stake(GWEI_PER_VALIDATOR)
        return [
            f"{self._stake(wanted.gwei)} are wanted, {self._stake(most)} can be had: it has"
            f" {self._stake(details.balance_gwei)}, less the {least} that stay{also}"
        ]

    def _moved(self, sources: Sequence[bytes]) -> int:
        """What these validators bring another one; those that are not known are refused as they are."""
        found = [self.view.validators.get(bytes(key)) for key in sources]
        return sum(moved_gwei(details) for details in found if details is not None)

    def _too_much(self, key: bytes, added: int) -> list[str]:
        """What is against so much more stake for a validator."""
        details, view = self.view.validators[bytes(key)], self.view
        deposited, arriving = view.deposits.get(bytes(key), 0), view.arriving_gwei(details.index)
        if details.balance_gwei + deposited + arriving + added <= self.max_balance_gwei:
            return []
        return [
            f"it has {self._stake(details.balance_gwei)}, {self._stake(deposited)} wait to be deposited,"
            f" {self._stake(arriving)} to be moved to it, and {self._stake(added)} would be added: more than"
            f" {self._stake(self.max_balance_gwei)}"
        ]

    def _type_1(self, details: ValidatorDetails) -> Iterator[str]:
        if details.withdrawal_credentials[0] != ETH1_ADDRESS:
            yield "it compounds already"

    def _type_2(self, details: ValidatorDetails) -> Iterator[str]:
        if details.withdrawal_credentials[0] != COMPOUNDING:
            yield (
                "it is of type 0x01, to which nothing is added and of which no part is paid out; make it"
                " compound first"
            )

    def _stays(self, details: ValidatorDetails) -> Iterator[str]:
        if details.is_slashed:
            yield "it is slashed"
        elif details.exit_epoch != FAR_FUTURE_EPOCH:
            yield f"it exits already, at epoch {details.exit_epoch}"
        elif details.activation_epoch > self.view.epoch:
            yield "it is not active yet"
        elif details.status != ACTIVE_STATUS:
            yield f"its status is {details.status}"

    def _takes_stake(self, details: ValidatorDetails) -> Iterator[str]:
        """It may wait to become active."""
        if details.status not in WAITING_STATUSES:
            yield from self._stays(details)

    def _may_exit(self, details: ValidatorDetails) -> Iterator[str]:
        first = details.activation_epoch + SHARD_COMMITTEE_PERIOD
        if details.activation_epoch <= self.view.epoch < first:
            yield (
                f"it is active since epoch {details.activation_epoch}, and can be withdrawn from or exit from"
                f" epoch {first} on; it is epoch {self.view.epoch}"
            )

    def _is_whole(self, details: ValidatorDetails) -> Iterator[str]:
        if details.effective_balance_gwei < GWEI_PER_VALIDATOR:
            yield (
                f"its effective balance is {self._stake(details.effective_balance_gwei)}; no part is paid out"
                f" while that is below {self._stake(GWEI_PER_VALIDATOR)}"
            )

    def _is_in_no_queue(self, details: ValidatorDetails) -> Iterator[str]:
        if waiting := self.view.withdrawing_gwei(details.index):
            yield f"{self._stake(waiting)} wait to be withdrawn from it; it cannot exit before they are"
        if waiting := self.view.consolidations_with(details.index):
            yield (
                f"{waiting} consolidations with it wait; what they bring would leave again, so let them be"
                " done first"
            )

    def _stake(self, gwei: int) -> str:
        return units.stake(gwei, self.network)
