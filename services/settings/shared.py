"""Settings that several programs have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dvtfast.networks import NETWORKS, Network

from ..chain.encoding import write_address
from ..web.addresses import is_loopback
from . import parsing
from .sources import Settings, setting

PLAIN_HTTP = "--allow-plain-http"


def database() -> Any:
    """Where a relayer keeps its state."""
    return setting(
        "--database",
        parsing.database,
        "Where the state is kept.",
        default="sqlite:///relayer.db",
        also=["DATABASE"],
        metavar="URL",
    )


def key_cache() -> Any:
    """Where decrypted keystores are kept."""
    return setting(
        "--key-cache",
        parsing.place,
        "The sealed file in which decrypted keystores are kept for the next start;"
        " .dvtfast-key-cache beside them when not set.",
        optional=True,
        metavar="FILE",
    )


def storage_key_file(*, optional: bool) -> Any:
    """What seals a database."""
    return setting(
        "--storage-key-file",
        parsing.file,
        "Seal the signatures in the database under the key in this file; make one with"
        " `dvtfast relayer storage-key FILE`. Without it, whoever has the database can exit the validators.",
        optional=optional,
    )


def no_verify(*variables: str) -> Any:
    """Locks that nobody can verify."""
    return setting(
        "--no-verify",
        parsing.switch,
        "DANGEROUS: use a cluster lock although its hashes or signatures are wrong or missing, as of one that"
        " was made unsigned, or merged by hand. Whoever could write it chose the keys in it.",
        default="false",
        also=variables,
    )


def validator_lifetime() -> Any:
    """When validators are forgotten."""
    return setting(
        "--validator-lifetime",
        parsing.seconds,
        "Forget validators that nobody asked for during this time, unless their shares were handed out.",
        default="604800",
        also=["VALIDATOR_LIFETIME"],
    )


def threads() -> Any:
    """How many cores."""
    return setting(
        "--threads",
        parsing.thread_count,
        "Threads for cryptography; all cores this process may use when not set.",
        optional=True,
        metavar="N",
    )


def one_derivation() -> Any:
    """How much keystores cost who opens them."""
    return setting(
        "--one-derivation",
        parsing.switch,
        "Give all keystores of a node one password and one salt, which saves 50 ms for each when they are"
        " written, and when dvtfast opens them; who gets one password has all.",
        default="false",
    )


def json() -> Any:
    """For programs that read what is printed."""
    return setting("--json", parsing.switch, "Print JSON.", default="false")


def network(help: str) -> Any:
    """The network; it is never guessed."""
    return setting("--network", parsing.network, help, also=["NETWORK"], metavar="|".join(NETWORKS))


def execution_endpoints(tells: str) -> Any:
    """Execution nodes, and what they are asked."""
    return setting(
        "--execution-endpoint",
        parsing.url,
        f"An execution node (JSON-RPC); repeatable, the next one is asked when one fails. It tells {tells}.",
        many=True,
        also=["EXECUTION_ENDPOINT", "EXECUTION_ENDPOINTS"],
        metavar="URL",
    )


def deposit_contract() -> Any:
    """Where validators are deposited for."""
    return setting(
        "--deposit-contract",
        parsing.address,
        "The deposit contract of a chain for tests; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )


def keeper() -> Any:
    """Where the oracles are."""
    return setting(
        "--keeper",
        parsing.address,
        "The Keeper of a chain for tests; the network's when not set.",
        optional=True,
        metavar="ADDRESS",
    )


def on_test_chain(
    network: Network,
    *,
    deposit_contract: bytes | None,
    keeper: bytes | None,
    deposit_data_registry: bytes | None = None,
    shared_mev_escrow: bytes | None = None,
) -> Network:
    """The network with other contracts where they are given; these may have been there from block 0 on,
    before any validator."""
    if deposit_contract is not None:
        contract = write_address(deposit_contract)
        network = replace(
            network,
            deposit_contract=contract,
            deposit_contract_block=0,
            has_validators_without_deposit=False,
        )
    if keeper is not None:
        network = replace(network, keeper=write_address(keeper), keeper_genesis_block=0)
    if deposit_data_registry is not None:
        network = replace(network, deposit_data_registry=write_address(deposit_data_registry))
    if shared_mev_escrow is not None:
        network = replace(network, shared_mev_escrow=write_address(shared_mev_escrow))
    return network


def execution_timeout() -> Any:
    """How patient they are asked."""
    return setting(
        "--execution-timeout",
        parsing.seconds,
        "How long one request to an execution node may take.",
        default="10",
        also=["EXECUTION_TIMEOUT"],
    )


def logs_span_blocks() -> Any:
    """How much they are asked for at once."""
    return setting(
        "--logs-span-blocks",
        parsing.count,
        "Ask an execution node for the logs of at most N blocks at once; when not set, of as many as it"
        " gives, which is found out.",
        optional=True,
        also=["EVENTS_BLOCKS_RANGE_INTERVAL"],
        metavar="N",
    )


def consensus_endpoints(tells: str) -> Any:
    """Beacon nodes, and what they are asked."""
    return setting(
        "--consensus-endpoint",
        parsing.url,
        f"A beacon node; repeatable. It tells {tells}.",
        many=True,
        also=["CONSENSUS_ENDPOINT", "CONSENSUS_ENDPOINTS"],
        metavar="URL",
    )


def consensus_timeout() -> Any:
    """How patient they are asked."""
    return setting(
        "--consensus-timeout",
        parsing.seconds,
        "How long one request to a beacon node may take.",
        default="30",
        also=["CONSENSUS_TIMEOUT"],
    )


def ipfs_gateways(what: str) -> Any:
    """Where documents are."""
    return setting(
        "--ipfs-gateway",
        parsing.url,
        f"A gateway to IPFS{what}; repeatable. What it serves is verified.",
        many=True,
        also=["IPFS_FETCH_ENDPOINTS"],
        metavar="URL",
    )


def ipfs_timeout() -> Any:
    """How patient it is asked."""
    return setting(
        "--ipfs-timeout",
        parsing.seconds,
        "How long one request to a gateway may take.",
        default="60",
        also=["IPFS_TIMEOUT"],
    )


def allow_plain_http() -> Any:
    """Whether secrets may be seen on the way."""
    return setting(
        PLAIN_HTTP,
        parsing.switch,
        "Send tokens and passwords over plain http to other hosts, too: whoever sees the network in between"
        " can use them.",
        default="false",
    )


def in_the_clear(settings: Settings, *, with_tokens: str = "") -> list[str]:
    """A line for each address that would get a secret in the clear, over a network.

    Args:
        with_tokens: the field whose addresses get tokens of files.
    """
    if getattr(settings, "allow_plain_http", False):
        return []
    return [
        f"{name}: a {secret} would go to {parsing.host_of(url)} in the clear; use https, or {PLAIN_HTTP}"
        for name, url, secret in _secrets(settings, with_tokens)
        if urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or "")
    ]


def _secrets(settings: Settings, with_tokens: str) -> Iterator[tuple[str, str, str]]:
    """Each setting's name, with an address that gets a secret, and what that is."""
    for field, source in settings.sources().items():
        if source.parse is parsing.url and (value := getattr(settings, field)):
            for url in [value] if isinstance(value, str) else value:
                if parsing.has_password(url):
                    yield source.name, url, "password"
                elif field == with_tokens:
                    yield source.name, url, "token"


def deposits_database(what: str) -> Any:
    """Where the deposit contract's history is kept."""
    return setting(
        "--deposits-database",
        parsing.place,
        f"Read all deposits from the execution node into FILE (SQLite), {what}.",
        optional=True,
        metavar="FILE",
    )


def genesis_validators() -> Any:
    """What that history begins with."""
    return setting(
        "--genesis-validators",
        parsing.file,
        "StakeWise's dump of the network's first validators, with which a new --deposits-database begins;"
        " hoodi needs it.",
        optional=True,
    )


def metrics_port(*variables: str) -> Any:
    """Where it is counted what a service does."""
    return setting(
        "--metrics-port",
        parsing.port,
        "Serve /metrics (Prometheus) and /healthz on this port; 0 takes any free one and logs it.",
        optional=True,
        also=variables,
    )


def metrics_host(*variables: str) -> Any:
    """For whom."""
    return setting(
        "--metrics-host",
        parsing.text,
        "The address to serve them on.",
        default="127.0.0.1",
        also=variables,
        metavar="ADDRESS",
    )
