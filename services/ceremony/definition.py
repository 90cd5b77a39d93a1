"""The definition of a cluster, from a file or an address, and what a ceremony needs of it.

Source: charon, dkg and cluster definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dvtfast import DvtfastError, FileError, Network
from dvtfast.obol import (
    MAX_DEFINITION_BYTES,
    ClusterDefinition,
    broken_rules,
    deposit_amounts_of,
    is_nobodys,
    missing_proofs,
    network_of,
    node_keys_of,
    read_cluster_definition,
    unproven_signatures,
    with_hashes,
)

from ..process import logs
from ..web.bounded import AnswerError
from ..web.outgoing import OutgoingError, Session
from .errors import CeremonyError
from .folder import KEYSHARES_FILE, LOCK_FILE
from .ssv_terms import SsvTerms

TIMEOUT_SECONDS = 10.0
ADVICE = (
    "take the definition as all operators agreed on it; who knows better goes on with --no-verify"
    " (DVTFAST_NO_VERIFY)"
)

log = logs.get("ceremony")


@dataclass(frozen=True, eq=False)
class ClusterAgreement:
    """What a cluster agreed on.

    Attributes:
        definition: with both hashes.
        network: of the chain.
        node_keys: compressed secp256k1 keys, 33 bytes, in the order of the operators.
        amounts_gwei: for which each validator gets a deposit.
        ssv: what they agree on as operators of SSV; None when it is a cluster of Obol.
    """

    definition: ClusterDefinition
    network: Network
    node_keys: tuple[bytes, ...]
    amounts_gwei: tuple[int, ...]
    ssv: SsvTerms | None = None

    @property
    def last_file(self) -> str:
        """The file of a node that comes to its place last: where it is, the ceremony has ended."""
        return LOCK_FILE if self.ssv is None else KEYSHARES_FILE

    def node_index_of(self, public_key: bytes) -> int:
        """Which node has this key.

        Raises:
            CeremonyError: none has.
        """
        if public_key not in self.node_keys:
            raise CeremonyError("the key of this node is not that of any operator in the definition")
        return self.node_keys.index(public_key)


async def read_agreement(
    where: str, *, verify: bool, execution_endpoints: Sequence[str] = ()
) -> ClusterAgreement:
    """The definition of a file or an http(s) address.

    Args:
        execution_endpoints: nodes that know what contracts have signed; without them only keys can sign.
        verify: refuse hashes and signatures that are wrong or missing; otherwise they are warned of.

    Raises:
        CeremonyError: nothing can begin with it; all that is wrong, by field.
    """
    if _is_address(where):
        shown, content = _shown(where), await _fetch(where)
    else:
        shown, content = where, None
    try:
        definition = read_cluster_definition(Path(shown), content=content)
        if broken := broken_rules(definition):
            raise CeremonyError("; ".join(f"{shown}: {line}" for line in broken))
        missing = missing_proofs(definition)
        if missing and execution_endpoints:
            missing = await _missing_with_contracts(definition, execution_endpoints)
        if missing and verify:
            raise CeremonyError("; ".join(f"{shown}: {line}" for line in missing) + f": {ADVICE}")
        for line in missing:
            log.warning("definition is not verified, and used all the same", source=shown, fault=line)
        return ClusterAgreement(
            with_hashes(definition),
            network_of(definition),
            node_keys_of(definition),
            deposit_amounts_of(definition),
        )
    except (FileError, DvtfastError) as error:
        raise CeremonyError(str(error)) from None


async def _missing_with_contracts(definition: ClusterDefinition, endpoints: Sequence[str]) -> list[str]:
    from .contract_signatures import signed_by_contracts  # needs the extra `chain`

    network = network_of(definition)
    unproven = [] if is_nobodys(definition) else unproven_signatures(definition, network)
    return missing_proofs(definition, proven=await signed_by_contracts(unproven, endpoints, network))


def _is_address(where: str) -> bool:
    """Whether it is one with a host, as charon sees it."""
    try:
        parts = urlsplit(where)
        return bool(parts.scheme and parts.hostname)
    except ValueError:
        return False


async def _fetch(address: str) -> bytes:
    shown = _shown(address)
    scheme = urlsplit(address).scheme
    if scheme not in ("http", "https"):
        raise CeremonyError(f"{shown}: expected a file, or an address with http:// or https://")
    if scheme == "http":
        log.warning("whoever is on the way can change a definition that comes over plain http", source=shown)
    try:
        async with Session(TIMEOUT_SECONDS) as session:
            answer = await session.ask("GET", address, limit_bytes=MAX_DEFINITION_BYTES)
    except (AnswerError, OutgoingError) as error:
        raise CeremonyError(f"{shown}: {error}") from None
    if not 200 <= answer.status < 300:
        raise CeremonyError(f"{shown}: HTTP {answer.status}")
    return answer.content


def _shown(address: str) -> str:
    """Without what may be a password."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
