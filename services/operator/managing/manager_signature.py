"""The signature of a vault's validators manager, which the relayer has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ... import wire
from ...chain.contracts.manager_messages import ManagerMessage, nonce_bytes
from ...chain.contracts.reads import validators_manager
from ...chain.contracts.signers import recover_signer
from ...chain.encoding import write_address
from ...chain.execution.node import Block
from ...relayer_client.client import RelayerClient
from ..chain import Chain
from ..plan import NotReadyError, StaleError
from ..progress import ProgressReport
from ..registration.planner import require_relayer
from ..sending.action import ActionKind


async def signed_by_manager(
    ask: Callable[[], Awaitable[wire.ManagerSignatureAnswer]],
    validators: bytes,
    *,
    chain: Chain,
    relayer: RelayerClient,
    vault: bytes,
    head: Block,
    report: ProgressReport,
) -> tuple[int, bytes]:
    """The vault's nonce, and the manager's signature for it.

    Args:
        ask: asks the relayer.
        validators: what the contract gets, which is signed.

    Raises:
        NotReadyError: the relayer cannot, or its key is not that of the vault's manager.
        StaleError: the nonce changed meanwhile.
    """
    await require_relayer(relayer, chain.network)
    nonce = await chain.nonce(ActionKind.FUND, vault, head)
    report("asking the relayer for the manager's signature")
    signature = (await ask()).validators_manager_signature
    if signature is None:
        raise NotReadyError("relayer: its manager cannot sign now; start again later")
    message = ManagerMessage(chain.network.chain_id, vault, nonce_bytes(nonce), validators)
    try:
        signer = recover_signer(message.digest, bytes(signature))
    except ValueError as error:
        raise NotReadyError(f"relayer: manager's {error}") from None
    now = await chain.head(at_least=head.number)
    if await chain.nonce(ActionKind.FUND, vault, now) != nonce:
        raise StaleError("something was done with the vault's validators meanwhile: the nonce is another")
    if signer != (manager := await validators_manager(chain.node, vault, block=now)):
        raise NotReadyError(
            f"relayer: expected a signature of {write_address(manager)}, the vault's manager, for the"
            f" nonce {nonce}; got another: its key is another one, or its node is behind"
        )
    return nonce, bytes(signature)
