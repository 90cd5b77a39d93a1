"""Under which heading each option stands in the help of a command, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .sources import Source

FEW: Final = 13
"""Options of a command that need no headings."""

NEEDED_FIRST: Final = (
    "--role",
    "--network",
    "--vault",
    "--cluster",
    "--share-index",
    "--relayer",
    "--relayer-token-file",
    "--oracles",
    "--data-dir",
    "--beacon-node",
    "--peer",
    "--cluster-lock",
    "--keystores",
    "--remote-signer",
    "--validator-api-address",
    "--ssv-keyshares",
    "--ssv-operators",
    "--ssv-operator-id",
    "--ssv-operator-key",
    "--execution-endpoint",
    "--consensus-endpoint",
    "--ipfs-gateway",
    "--wallet-keystore",
    "--wallet-password-file",
    "--deposit-data",
    "--definition-file",
    "--p2p-relays",
    "--allow-vault",
    "--validator",
    "--validator-public-key",
    "--exit-epoch",
    "--publish",
    "--pair",
    "--exit",
    "--dry-run",
    "--yes",
    "--host",
    "--port",
    "--operator-enrs",
    "--num-validators",
    "--fee-recipient-addresses",
    "--withdrawal-addresses",
    "--cluster-dir",
    "--http-address",
    "--monitoring-address",
    "--slashing-protection",
    "--p2p-tcp-address",
    "--p2p-external-ip",
    "--p2p-external-hostname",
    "--p2p-advertise-private-addresses",
    "--p2p-max-reservations",
    "--p2p-max-connections",
    "--output-dir",
    "--chain",
    "--duties",
    "--validators",
    "--nodes",
    "--threshold",
    "--note",
    "--output",
    "--json",
)
"""What nearly everybody who has such a command sets, whatever it is about."""

SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Clusters": (
        "--cluster-type",
        "--signature-threshold",
        "--node-index",
        "--keystores-template",
        "--remote-signer-timeout",
        "--key-cache",
        "--no-key-cache",
        "--lock-file",
        "--private-key-file",
        "--no-verify",
        "--ssv",
        "--dkg",
        "--oracle-threshold",
    ),
    "New clusters": (
        "--name",
        "--operator-addresses",
        "--deposit-amounts",
        "--compounding",
        "--target-gas-limit",
        "--consensus-protocol",
        "--dkg-algorithm",
        "--protocol",
        "--split-existing-keys",
        "--split-keys-dir",
        "--insecure-keys",
        "--one-derivation",
    ),
    "SSV clusters": (
        "--ssv-operator-password-file",
        "--ssv-owner",
        "--ssv-owner-nonce",
        "--ssv-database",
        "--ssv-contract",
        "--ssv-from-block",
    ),
    "Vaults and validators": (
        "--all-vaults",
        "--vault-cluster",
        "--vault-quota",
        "--vault-min-balance-gwei",
        "--validator-type",
        "--max-validator-balance-gwei",
        "--validators-file",
        "--pairs-file",
        "--all",
        "--skip-invalid",
        "--registered-keys",
        "--start-index",
        "--index-window",
        "--max-batch",
        "--again",
        "--validator-lifetime",
    ),
    "What is signed": (
        "--allow-vault-file",
        "--allow-type",
        "--allow-rotation",
        "--deposits-per-day",
        "--deposits-per-validator",
        "--exits-per-day",
        "--exits-per-validator",
        "--manager-keystore",
        "--manager-password-file",
        "--allow",
        "--daily-limit",
        "--show-exit-signatures",
        "--replace",
    ),
    "The account that sends": (
        "--signer-url",
        "--signer-address",
        "--signer-timeout",
    ),
    "Fees and confirmations": (
        "--max-fee-gwei",
        "--max-priority-fee-gwei",
        "--priority-fee-blocks",
        "--priority-fee-percentile",
        "--max-request-fee-gwei",
        "--confirmations",
        "--replace-seconds",
    ),
    "The relayer": (
        "--relayer-ca",
        "--relayer-client-cert",
        "--relayer-client-key",
        "--relayer-timeout",
        "--poll-interval",
        "--chunk-size",
    ),
    "Who is let in": (
        "--allow-anonymous",
        "--tls-certificate",
        "--tls-key",
        "--tls-client-ca",
        "--validator-api-token-file",
        "--vc-tls-cert-file",
        "--vc-tls-key-file",
        "--requests-at-once",
        "--requests-per-second",
        "--pending-validators",
        "--moves-per-day",
    ),
    "Other nodes of the cluster": (
        "--nickname",
        "--peer-address",
        "--join-timeout",
        "--silence-timeout",
    ),
    "Blocks": (
        "--builder-api",
        "--graffiti",
    ),
    "Where keys go": (
        "--keymanager-address",
        "--keymanager-auth-token",
    ),
    "Nodes and other hosts": (
        "--fallback-beacon-node",
        "--beacon-node-timeout",
        "--beacon-node-submit-timeout",
        "--execution-timeout",
        "--logs-span-blocks",
        "--consensus-timeout",
        "--ipfs-timeout",
        "--oracle-timeout",
        "--deposits-database",
        "--genesis-validators",
        "--deposits-from-block",
        "--allow-plain-http",
    ),
    "What is kept": (
        "--exits",
        "--journal",
        "--database",
        "--storage-key-file",
        "--workdir",
    ),
    "Pauses and time limits": (
        "--interval",
        "--rotation-interval",
        "--collect-seconds",
        "--timeout-seconds",
    ),
    "Networks of your own": (
        "--testnet-name",
        "--testnet-chain-id",
        "--testnet-fork-version",
        "--testnet-genesis-timestamp",
        "--testnet-capella-hard-fork",
    ),
    "Chains for tests": (
        "--deposit-contract",
        "--keeper",
        "--deposit-data-registry",
        "--shared-mev-escrow",
        "--consolidations-checker",
    ),
    "The process": (
        "--threads",
        "--metrics-port",
        "--metrics-host",
        "--no-gzip",
        "--timings-file",
        "--log-format",
        "--log-level",
    ),
}
"""All others, by heading."""

_HEADING_OF: Final = {flag: heading for heading, flags in SUBJECTS.items() for flag in flags}
_PLACES: Final = {flag: place for place, flag in enumerate((*NEEDED_FIRST, *_HEADING_OF))}


def arranged(sources: Mapping[str, Source]) -> list[tuple[str | None, str, Source]]:
    """The settings of a command in the order of its help: each with its heading, None for the first one."""
    known = sorted(sources.items(), key=lambda item: (not _is_needed(item[1]), _PLACES.get(item[1].flag, 0)))
    few = len(sources) <= FEW
    return [
        (None if few or _is_needed(source) else _HEADING_OF.get(source.flag), field, source)
        for field, source in known
    ]


def _is_needed(source: Source) -> bool:
    return source.is_required or source.flag not in _HEADING_OF
