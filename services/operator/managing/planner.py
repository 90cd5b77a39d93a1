"""What the validators manager signs beside registrations: top-ups, withdrawals, consolidations.

Nothing is signed by the operator here, and nothing sent to the chain. Everything is for one nonce of the
vault: when that changes meanwhile, it begins again (`StaleError`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ... import wire
from ...chain import calls, units
from ...chain.beacon.client import BeaconClient
from ...chain.contracts.harvesting import vault_assets
from ...chain.contracts.manager_messages import (
    COMPOUNDING,
    consolidate_bytes,
    fund_bytes,
    is_ambiguous,
    withdraw_bytes,
)
from ...chain.contracts.reads import (
    CONSOLIDATION_REQUESTS,
    WITHDRAWAL_REQUESTS,
    is_compounding,
    request_fee,
    validators_min_oracles,
)
from ...chain.encoding import read_address, write_address
from ...chain.execution.node import Block
from ...chain.units import WEI_PER_GWEI
from ...relayer_client.client import RelayerClient
from ...settings.orders import AmountOrder, ConsolidationOrder
from ...wire import PublicKey
from ..chain import Chain
from ..oracles.agreement import TooFewOraclesError
from ..oracles.client import OracleClient
from ..oracles.consolidations import approve_switch
from ..plan import NotReadyError
from ..progress import ProgressReport, no_report
from ..sending.action import Action, ActionKind
from .beacon_judge import BeaconJudge
from .manager_signature import signed_by_manager
from .outcomes import balances_before
from .plan import ManagerPlan, amount_details, pair_details, pair_line

FEE_MARGIN: Final = 2  # the fee of a request may be higher when the transaction is mined; the rest comes back
ONE_SWITCH: Final = (
    "oracles approve of one validator that is made to compound, by itself: ask for each pair of a key with"
    " itself alone, and for other pairs without it"
)


@dataclass(frozen=True)
class ManagerLimits:
    """How far an action may go.

    Attributes:
        max_balance_gwei: of a validator that gets stake; None is the network's.
        max_request_fee_wei: of one request to the beacon chain.
        reserve_wei: what stays in the vault when others are topped up.
    """

    max_balance_gwei: int | None = None
    max_request_fee_wei: int = 0
    reserve_wei: int = 0


@dataclass
class ManagerPlanner:
    """Makes actions of a vault's validators manager ready."""

    chain: Chain
    relayer: RelayerClient
    beacon: BeaconClient
    vault: bytes
    limits: ManagerLimits
    report: ProgressReport = no_report

    async def fund(self, wanted: Sequence[AmountOrder]) -> ManagerPlan:
        """Top validators up, after the vault took its rewards if there are any.

        Raises:
            NotReadyError: it cannot be done now; neither would the beacon chain do it, which does not say so.
            StaleError: the vault's nonce changed meanwhile; begin again.
            RelayerRefusedError: the relayer does not sign that.
            UnavailableError, RelayerUnavailableError, ContractError, CallRevertedError, RewardsError,
                IpfsContentError: somebody does not do its part.
        """
        keys, amounts = _columns(wanted)
        if is_ambiguous(len(keys), COMPOUNDING):
            raise NotReadyError(
                f"a vault cannot read {len(keys)} top-ups, as {len(keys)} * 184 bytes may be registrations,"
                " too; leave one off, and top it up next"
            )
        head, network = await self.chain.head(), self.chain.network
        assets = await vault_assets(self.chain.node, self.chain.ipfs, network, self.vault, at=head)
        available_wei = max(assets.withdrawable_wei - self.limits.reserve_wei, 0)
        if units.stake_gwei(available_wei, network) < sum(amounts):
            kept = f", of which {units.stake_of_wei(self.limits.reserve_wei, network)} stay" * bool(
                self.limits.reserve_wei
            )
            raise NotReadyError(
                f"the vault has {units.stake_of_wei(assets.withdrawable_wei, network)} withdrawable{kept};"
                f" {units.stake(sum(amounts), network)} are wanted"
            )
        view = await self._judge().judged(
            keys, head, lambda rules: rules.of_top_ups(wanted), with_additions=True
        )
        validators = fund_bytes(self.vault, keys, amounts)
        request = wire.FundRequest(
            wire.Address(self.vault), keys, [wire.PositiveUInt64(each) for each in amounts]
        )
        nonce, signature = await self._signed(head, validators, lambda: self.relayer.post_fund(request))
        data = calls.fund_validators(validators, signature)
        if assets.harvest is not None:
            data = calls.multicall([calls.update_state(assets.harvest), data])
        details = {
            "amount_gwei": sum(amounts),
            "amounts": amount_details(wanted),
            **balances_before(ActionKind.FUND, wanted, view),
            "harvests": assets.harvest is not None,
        }
        action = self._action(head, ActionKind.FUND, keys, data, nonce, details)
        question = (
            f"Top up {len(keys)} validators with {units.stake(sum(amounts), network)} of"
            f" {write_address(self.vault)}" + ", which takes its rewards first" * bool(assets.harvest)
        )
        return ManagerPlan(action, self.chain.network, self._amount_lines(wanted), [question])

    async def withdraw(self, wanted: Sequence[AmountOrder]) -> ManagerPlan:
        """Withdraw from validators, or exit them; raises as `fund`."""
        keys, amounts = _columns(wanted)
        head = await self.chain.head()
        view = await self._judge().judged(keys, head, lambda rules: rules.of_withdrawals(wanted))
        fee_wei = await self._fee(WITHDRAWAL_REQUESTS, head)
        validators = withdraw_bytes(keys, amounts)
        request = wire.WithdrawRequest(
            wire.Address(self.vault), keys, [wire.UInt64(each) for each in amounts]
        )
        nonce, signature = await self._signed(head, validators, lambda: self.relayer.post_withdraw(request))
        exits = amounts.count(0)
        action = self._action(
            head,
            ActionKind.WITHDRAW,
            keys,
            calls.withdraw_validators(validators, signature),
            nonce,
            {
                "amount_gwei": sum(amounts),
                "amounts": amount_details(wanted),
                **balances_before(ActionKind.WITHDRAW, wanted, view),
                "exits": exits,
            },
            value_wei=self._value(fee_wei, len(keys)),
        )
        if not exits:
            amount = units.stake(sum(amounts), self.chain.network)
            questions = [f"Withdraw {amount} from {len(keys)} validators{self._fees(action)}"]
        else:
            questions = [
                f"EXIT {exits} validators of {write_address(self.vault)} FOR GOOD{self._fees(action)}",
                f"These {exits} validators end, and can never be used again. Really?",
            ]
        return ManagerPlan(action, self.chain.network, self._amount_lines(wanted), questions)

    async def consolidate(
        self, pairs: Sequence[ConsolidationOrder], oracle_client: OracleClient, checker: bytes | None = None
    ) -> ManagerPlan:
        """Move the stake of validators to others, or make one compound; raises as `fund`.

        Oracles approve of one validator that is made to compound, by itself, and are asked for nothing
        else: other targets must be compounding ones that the vault knows.

        Args:
            checker: the ConsolidationsChecker, where it is not the network's.
        """
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        head = await self.chain.head()
        switches = any(pair.is_switch for pair in pairs)
        if not switches:
            await self._require_known(targets, head)
        keys = [*sources, *targets]
        await self._judge().judged(
            keys, head, lambda rules: rules.of_consolidations(pairs), with_additions=True
        )
        validators = consolidate_bytes(sources, targets)
        approvals = b""
        if switches:
            address = checker or read_address(self.chain.network.consolidations_checker)
            approvals = await self._approvals(pairs, oracle_client, address, head)
        fee_wei = await self._fee(CONSOLIDATION_REQUESTS, head)
        request = wire.ConsolidateRequest(wire.Address(self.vault), sources, targets)
        nonce, signature = await self._signed(
            head, validators, lambda: self.relayer.post_consolidate(request)
        )
        action = self._action(
            head,
            ActionKind.CONSOLIDATE,
            sources,
            calls.consolidate_validators(validators, signature, approvals),
            nonce,
            {
                "pairs": pair_details(pairs),
                "approvals": len(approvals) // wire.ManagerSignature.width,
            },
            value_wei=self._value(fee_wei, len(pairs)),
        )
        switched = sum(pair.is_switch for pair in pairs)
        what = [f"make {switched} validators compound"] * bool(switched)
        if moved := len(pairs) - switched:
            what.append(f"END {moved} validators, whose stake moves to others")
        question = f"{' and '.join(what)}{self._fees(action)}"
        return ManagerPlan(
            action,
            self.chain.network,
            [pair_line(pair) for pair in pairs],
            [question[0].upper() + question[1:]],
        )

    def _judge(self) -> BeaconJudge:
        network = self.chain.network
        most = self.limits.max_balance_gwei or network.max_validator_balance_gwei
        return BeaconJudge(self.beacon, network, self.vault, most, self.report)

    async def _signed(
        self, head: Block, validators: bytes, ask: Callable[[], Awaitable[wire.ManagerSignatureAnswer]]
    ) -> tuple[int, bytes]:
        return await signed_by_manager(
            ask,
            validators,
            chain=self.chain,
            relayer=self.relayer,
            vault=self.vault,
            head=head,
            report=self.report,
        )

    async def _fee(self, predeploy: bytes, head: Block) -> int:
        """What one request costs now, in wei."""
        fee_wei = await request_fee(self.chain.node, predeploy, block=head)
        if fee_wei > self.limits.max_request_fee_wei:
            raise NotReadyError(
                f"a request costs {fee_wei / WEI_PER_GWEI:.9g} gwei now, more than --max-request-fee-gwei"
                f" ({self.limits.max_request_fee_wei / WEI_PER_GWEI:.9g}); it falls when fewer are made"
            )
        return fee_wei

    def _amount_lines(self, wanted: Sequence[AmountOrder]) -> list[str]:
        network = self.chain.network
        return [
            f"{each.shown} " + ("EVERYTHING" if each.gwei is None else units.stake(each.gwei, network))
            for each in wanted
        ]

    def _fees(self, action: Action) -> str:
        return f", for at most {units.gas(action.value_wei, self.chain.network)} of fees"

    def _value(self, fee_wei: int, requests: int) -> int:
        """What is sent along for the fees."""
        return min(FEE_MARGIN * fee_wei, self.limits.max_request_fee_wei) * requests

    async def _require_known(self, targets: Sequence[PublicKey], head: Block) -> None:
        """Refuse a target that the vault would, as it does not know it as compounding."""
        for target in dict.fromkeys(targets):
            if not await is_compounding(self.chain.node, self.vault, bytes(target), block=head):
                key = target.to_wire()
                raise NotReadyError(
                    f"{key} is no compounding validator that the vault knows, so it takes no stake of others,"
                    " and oracles are asked for none such. If it is the vault's own, of type 0x01, make it"
                    f" compound first: --pair {key}={key}"
                )

    async def _approvals(
        self, pairs: Sequence[ConsolidationOrder], oracle_client: OracleClient, checker: bytes, head: Block
    ) -> bytes:
        if len(pairs) != 1:
            raise NotReadyError(ONE_SWITCH)
        config = await self.chain.oracle_config(head)
        threshold = await validators_min_oracles(self.chain.node, self.chain.keeper, block=head)
        self.report(f"asking {len(config.public_keys)} oracles")
        try:
            return await approve_switch(
                self.vault,
                bytes(pairs[0].source),
                config,
                oracle_client,
                checker_address=checker,
                chain_id=self.chain.network.chain_id,
                threshold=threshold,
            )
        except (TooFewOraclesError, ValueError) as error:
            raise NotReadyError(f"oracles: {error}") from None

    def _action(
        self,
        head: Block,
        kind: ActionKind,
        keys: Sequence[bytes],
        data: bytes,
        nonce: int,
        details: dict[str, Any],
        value_wei: int = 0,
    ) -> Action:
        return Action(
            kind,
            vault=self.vault,
            to=self.vault,
            data=data,
            value_wei=value_wei,
            public_keys=tuple(map(bytes, keys)),
            details={"validators": len(keys), "nonce": nonce, **details},
            block_number=head.number,
        )


def _columns(wanted: Sequence[AmountOrder]) -> tuple[list[wire.PublicKey], list[int]]:
    return [each.public_key for each in wanted], [each.gwei or 0 for each in wanted]
