"""What `dvtfast node` can be told: by flags and variables of `charon run` where they mean the same."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from dvtfast.obol import KEY_FILE

from .. import parsing, shared
from ..ceremony.texts import endpoint
from ..charon import charon
from ..p2p import hosts
from ..sources import SettingsError, setting
from . import texts
from .charon_flags import refused_variables

RELAYS = ("https://0.relay.obol.tech", "https://1.relay.obol.tech", "https://2.relay.obol.dev")  # charon's
LOCK_FILE, KEYSTORES, PROTECTION_FILE = "cluster-lock.json", "validator_keys", "slashing-protection.db"
EXITS_FILE = "exits.db"
GRAFFITI = f"dvtfast/{version('dvtfast')}"


def data_dir() -> Any:
    """The node's folder."""
    return charon(
        "--data-dir",
        parsing.path,
        f"The node's folder, as charon has it: {KEY_FILE}, {LOCK_FILE}, {KEYSTORES}.",
        default=".charon",
        metavar="DIR",
    )


def slashing_protection() -> Any:
    """What was signed."""
    return setting(
        "--slashing-protection",
        parsing.place,
        "The file (SQLite) in which each block and vote is before its signature leaves;"
        f" {PROTECTION_FILE} in the node's folder when not set. Keep it with the keys, and never use a copy.",
        optional=True,
        metavar="FILE",
    )


def exits() -> Any:
    """What became of exits."""
    return setting(
        "--exits",
        parsing.place,
        "The file (SQLite) in which `dvtfast exit` leaves what it is told, and exits are kept;"
        f" {EXITS_FILE} in the node's folder when not set.",
        optional=True,
        metavar="FILE",
    )


def lock_file() -> Any:
    """The cluster."""
    return charon(
        "--lock-file",
        parsing.file,
        f"The lock of the cluster; {LOCK_FILE} in the node's folder when not set.",
        optional=True,
        metavar="FILE",
    )


def private_key_file() -> Any:
    """Which of its nodes this is."""
    return charon(
        "--private-key-file",
        parsing.file,
        f"The node's key; {KEY_FILE} in its folder when not set. One process at a time has it.",
        optional=True,
        metavar="FILE",
    )


def _patience(flag: str, help: str) -> Any:
    return charon(flag, texts.duration, help, default="2", metavar="SECONDS")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeSettings(hosts.ReachableSettings):
    """What `dvtfast node` can be told."""

    command = "node"

    data_dir: Path = data_dir()
    beacon_nodes: tuple[str, ...] = setting(
        "--beacon-node",
        parsing.url,
        "A beacon node; repeatable. All are asked at once, the first good answer counts.",
        many=True,
        also=["CHARON_BEACON_NODE_ENDPOINTS"],
        other_flags=["--beacon-node-endpoints"],
        metavar="URL,...",
    )
    peers: tuple[tuple[str, str, int], ...] = setting(
        "--peer",
        texts.peer,
        "Where another node of the cluster listens, which is named by its node record or peer id; repeatable."
        " With it for each no relay is needed.",
        many=True,
        metavar="ENR|ID=HOST:PORT",
    )
    p2p_relays: tuple[str, ...] = hosts.relays("Obol's three when not set and there is no --peer.")
    p2p_tcp_address: tuple[tuple[str, int], ...] = hosts.tcp_address(
        "Addresses and ports to listen on for the other nodes; when not set they come through relays only."
    )
    keystores: Path | None = setting(
        "--keystores",
        parsing.directory,
        f"The node's key shares: keystore-*.json, each with its keystore-*.txt; {KEYSTORES} in the node's"
        " folder when neither this nor --remote-signer is set.",
        optional=True,
        metavar="DIR",
    )
    remote_signer: str | None = setting(
        "--remote-signer",
        parsing.url,
        "A web3signer that has the node's key shares, instead of keystores.",
        optional=True,
        metavar="URL",
    )
    remote_signer_timeout: float = setting(
        "--remote-signer-timeout",
        texts.duration,
        "How long one request to the remote signer may take.",
        default="4",
        metavar="SECONDS",
    )
    validator_api_address: tuple[str, int] | None = charon(
        "--validator-api-address",
        endpoint,
        "Where a validator client finds the node, which it takes for a beacon node: the client has the node's"
        " key shares, and signs, instead of keystores. Charon's default is 127.0.0.1:3600.",
        optional=True,
        metavar="HOST:PORT",
    )
    validator_api_token_file: Path | None = setting(
        "--validator-api-token-file",
        parsing.file,
        "A token that validator clients have to show, such as in http://user:TOKEN@host:3600; without it"
        " everybody is served.",
        optional=True,
        metavar="FILE",
    )
    vc_tls_cert_file: Path | None = charon(
        "--vc-tls-cert-file",
        parsing.file,
        "Serve validator clients HTTPS with this certificate (PEM, with its chain); loaded again when it is"
        " renewed.",
        optional=True,
        metavar="FILE",
    )
    vc_tls_key_file: Path | None = charon(
        "--vc-tls-key-file",
        parsing.file,
        "The key (PEM) of that certificate, without a password.",
        optional=True,
        metavar="FILE",
    )
    slashing_protection: Path | None = slashing_protection()
    exits: Path | None = exits()
    lock_file: Path | None = lock_file()
    private_key_file: Path | None = private_key_file()
    no_verify: bool = shared.no_verify("CHARON_NO_VERIFY")
    fallback_beacon_nodes: tuple[str, ...] = setting(
        "--fallback-beacon-node",
        parsing.url,
        "A beacon node that is asked when none of the others is of use; repeatable.",
        many=True,
        also=["CHARON_FALLBACK_BEACON_NODE_ENDPOINTS"],
        other_flags=["--fallback-beacon-node-endpoints"],
        metavar="URL,...",
    )
    beacon_node_timeout: float = _patience(
        "--beacon-node-timeout", "How long a beacon node may take for an answer."
    )
    beacon_node_submit_timeout: float = _patience(
        "--beacon-node-submit-timeout", "How long a beacon node may take for what is sent to it."
    )
    builder_api: bool = charon(
        "--builder-api",
        parsing.switch,
        "Ask for blocks of builders, and register the validators with them; the same at all nodes.",
        default="false",
    )
    graffiti: bytes = charon(
        "--graffiti",
        texts.graffiti,
        "What is written into blocks that this node proposes.",
        default=GRAFFITI,
        metavar="TEXT",
    )
    nickname: str = charon(
        "--nickname",
        texts.nickname,
        "What the other operators see this node called.",
        default="",
        metavar="TEXT",
    )
    testnet_name: str | None = charon(
        "--testnet-name", parsing.text, "A network of your own: its name.", optional=True, metavar="NAME"
    )
    testnet_chain_id: int | None = charon(
        "--testnet-chain-id",
        parsing.integer,
        "The chain id of its execution layer.",
        optional=True,
        metavar="NUMBER",
    )
    testnet_fork_version: bytes | None = charon(
        "--testnet-fork-version",
        texts.fork_version,
        "Its genesis fork version, as the lock has it.",
        optional=True,
        metavar="HEX",
    )
    testnet_genesis_timestamp: int | None = charon(
        "--testnet-genesis-timestamp",
        parsing.integer,
        "When its slot 0 began, Unix seconds.",
        optional=True,
        metavar="SECONDS",
    )
    testnet_capella_hard_fork: bytes | None = charon(
        "--testnet-capella-hard-fork",
        texts.fork_version,
        "The version of its Capella fork.",
        optional=True,
        metavar="HEX",
    )
    monitoring_address: tuple[str, int] = charon(
        "--monitoring-address",
        endpoint,
        "Where the status page is, and /metrics, /livez and /readyz; port 0 takes any free one and logs it.",
        default="127.0.0.1:3620",
        metavar="HOST:PORT",
    )
    threads: int | None = shared.threads()
    log_format: str = setting(
        "--log-format",
        texts.log_format,
        "Log lines for people or for machines; charon's console and logfmt are plain.",
        default="plain",
        also=["CHARON_LOG_FORMAT", "LOG_FORMAT"],
        metavar="plain|json",
    )
    log_level: str = setting(
        "--log-level",
        parsing.log_level,
        "The least severe line to log.",
        default="info",
        also=["CHARON_LOG_LEVEL", "LOG_LEVEL"],
        metavar="debug|info|warning|error",
    )

    @classmethod
    def load(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """Read all sources; what charon's variables ask for that is not done is a problem, too."""
        refused = refused_variables(environment)
        try:
            settings = super().load(flags, environment)
        except SettingsError as error:
            raise SettingsError([*error.problems, *refused]) from None
        if refused:
            raise SettingsError(refused)
        return settings

    def problems(self) -> list[str]:
        """What does not go together."""
        names = {field: source.name for field, source in self.sources().items()}
        found = super().problems()
        if self.keystores is not None and self.remote_signer is not None:
            found.append(f"{names['keystores']}, {names['remote_signer']}: expected one of them")
        found += self._problems_of_clients(names)
        return [*found, *chain_problems(self)]

    def _problems_of_clients(self, names: Mapping[str, str]) -> list[str]:
        """A node has key shares, or its validator client has."""
        address, found = names["validator_api_address"], []
        for name in ("keystores", "remote_signer"):
            if self.validator_api_address is not None and getattr(self, name) is not None:
                found.append(f"{names[name]}, {address}: expected one of them, as one alone signs")
        for name in ("validator_api_token_file", "vc_tls_cert_file", "vc_tls_key_file"):
            if self.validator_api_address is None and getattr(self, name) is not None:
                found.append(f"{names[name]}: expected {address}, too")
        if (self.vc_tls_cert_file is None) != (self.vc_tls_key_file is None):
            found.append(f"{names['vc_tls_cert_file']}, {names['vc_tls_key_file']}: expected both, or none")
        return found

    @property
    def lock_path(self) -> Path:
        """The cluster's lock."""
        return self.lock_file or self.data_dir / LOCK_FILE

    @property
    def key_path(self) -> Path:
        """The node's key."""
        return self.private_key_file or self.data_dir / KEY_FILE

    @property
    def keystores_path(self) -> Path:
        """The node's key shares."""
        return self.keystores or self.data_dir / KEYSTORES

    @property
    def protection_path(self) -> Path:
        """What was signed."""
        return self.slashing_protection or self.data_dir / PROTECTION_FILE

    @property
    def exits_path(self) -> Path:
        """What became of exits."""
        return self.exits or self.data_dir / EXITS_FILE

    @property
    def relays(self) -> tuple[str, ...]:
        """Those that are used."""
        return self.p2p_relays or (() if self.peers else RELAYS)


TESTNET = ("testnet_name", "testnet_chain_id", "testnet_fork_version", "testnet_genesis_timestamp")
"""What a network of one's own needs."""


def chain_problems(settings: Any) -> list[str]:
    """What is missing in settings that name beacon nodes, and may describe a network of one's own."""
    names = {field: source.name for field, source in settings.sources().items()}
    found = []
    if not settings.beacon_nodes:
        found.append(f"{names['beacon_nodes']}: not set; name a beacon node of the cluster's network")
    given = [name for name in TESTNET if getattr(settings, name) is not None]
    if given and len(given) < len(TESTNET):
        missing = ", ".join(settings.sources()[name].flag for name in TESTNET if name not in given)
        found.append(f"{names[given[0]]}: a network of your own needs {missing}, too")
    if settings.testnet_capella_hard_fork is not None and not given:
        found.append(f"{names['testnet_capella_hard_fork']}: expected the other --testnet flags, too")
    return found
