"""A node's key, a definition, a dealer's cluster, and whole keys of it."""

# ruff: noqa: RUF009 - `setting` is `dataclasses.field` with metadata, it runs once on purpose

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dvtfast.networks import Network
from dvtfast.obol import MAX_VALIDATORS, wrong_amounts

from .. import parsing, shared
from ..charon import CharonSettings, charon
from ..sources import Settings, setting
from . import texts

LEAST_NODES = 3  # charon makes no smaller clusters
MOST_NODES = 255
LEAST_THRESHOLD = 2
INSECURE_NETWORKS = ("hoodi",)  # where stake is worth nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateEnrSettings(Settings):
    """What `dvtfast create enr` can be told."""

    data_dir: Path = charon(
        "--data-dir",
        parsing.path,
        "The node's folder, in which its key is made.",
        default=".charon",
        metavar="DIR",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewClusterSettings(CharonSettings):
    """What is agreed on when a cluster is made."""

    network: Network = charon(
        "--network",
        parsing.network,
        "The network of the validators.",
        metavar="mainnet|hoodi|gnosis",
    )
    name: str = charon(
        "--name", parsing.text, "The name of the cluster, for people.", default="", metavar="NAME"
    )
    num_validators: int = charon(
        "--num-validators", parsing.count, "How many validators.", default="1", metavar="N"
    )
    threshold: int | None = charon(
        "--threshold",
        parsing.count,
        "How many nodes must sign; two thirds, rounded up, when not set.",
        optional=True,
        metavar="T",
    )
    fee_recipient_addresses: tuple[bytes, ...] = charon(
        "--fee-recipient-addresses",
        parsing.address,
        "Who gets the fees of blocks: one address, or one for each validator in its order.",
        many=True,
        metavar="ADDRESS,...",
    )
    withdrawal_addresses: tuple[bytes, ...] = charon(
        "--withdrawal-addresses",
        parsing.address,
        "Who gets the stake back: one address, or one for each validator in its order.",
        many=True,
        metavar="ADDRESS,...",
    )
    deposit_amounts: tuple[int, ...] = charon(
        "--deposit-amounts",
        texts.deposit_amount,
        "Deposits that each validator gets signed, as the beacon chain counts: 32 or more in all are a full"
        " validator; when not set 1 and 32, and with --compounding 1, 8, 32 and 256.",
        many=True,
        metavar="AMOUNT,...",
    )
    compounding: bool = charon(
        "--compounding",
        parsing.switch,
        "Validators with withdrawal credentials 0x02, whose rewards compound, up to 2,048 in each.",
        default="false",
    )
    target_gas_limit: int = charon(
        "--target-gas-limit",
        parsing.count,
        "The gas limit that builder registrations ask for.",
        default="60000000",
        metavar="GAS",
    )
    consensus_protocol: str = charon(
        "--consensus-protocol",
        parsing.text,
        "The consensus protocol that the nodes prefer; theirs when not set.",
        default="",
        metavar="NAME",
    )

    def problems(self) -> list[str]:
        """Addresses must be one, or as many as validators."""
        found = []
        names = {field: source.name for field, source in self.sources().items()}
        if self.num_validators > MAX_VALIDATORS:
            found.append(f"{names['num_validators']}: expected at most {MAX_VALIDATORS}")
        for field in ("fee_recipient_addresses", "withdrawal_addresses"):
            count, wanted = len(getattr(self, field)), self.validators
            if not count or (wanted is not None and count not in (1, wanted)):
                one_each = "" if wanted is None else f" or {wanted}"
                found.append(f"{names[field]}: expected 1{one_each} addresses, one a validator, got {count}")
        if any(not any(address) for address in self.withdrawal_addresses):
            found.append(f"{names['withdrawal_addresses']}: the zero address gives nothing back")
        return found

    @property
    def validators(self) -> int | None:
        """How many there will be; None while it is not known."""
        return self.num_validators

    def _wrong_threshold(self, nodes: int) -> list[str]:
        if self.threshold is None or LEAST_THRESHOLD <= self.threshold <= nodes:
            return []
        name = self.sources()["threshold"].name
        return [f"{name}: expected {LEAST_THRESHOLD}..{nodes} for {nodes} nodes, got {self.threshold}"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateDkgSettings(NewClusterSettings):
    """What `dvtfast create dkg` can be told."""

    operator_enrs: tuple[str, ...] = charon(
        "--operator-enrs",
        texts.node_record,
        "The node record of each operator, in the order of the nodes; `dvtfast create enr` prints it.",
        many=True,
        metavar="ENR,...",
    )
    operator_addresses: tuple[bytes, ...] = charon(
        "--operator-addresses",
        parsing.address,
        "Instead: the account of each operator, who joins by signing the definition with it.",
        many=True,
        metavar="ADDRESS,...",
    )
    dkg_algorithm: str = charon(
        "--dkg-algorithm",
        texts.dkg_algorithm,
        "How keys are generated.",
        default="default",
        metavar="default|frost|pedersen",
    )
    output_dir: Path = charon(
        "--output-dir",
        parsing.path,
        "Where cluster-definition.json is written.",
        default=".charon",
        metavar="DIR",
    )

    def problems(self) -> list[str]:
        """Operators are named in one way."""
        enrs, addresses = (self.sources()[name].name for name in ("operator_enrs", "operator_addresses"))
        found = super().problems()
        if bool(self.operator_enrs) == bool(self.operator_addresses):
            return [*found, f"{enrs}, {addresses}: expected one of them"]
        operators: Sequence[object] = self.operator_enrs or self.operator_addresses
        name, count = enrs if self.operator_enrs else addresses, len(operators)
        if not LEAST_NODES <= count <= MOST_NODES:
            found.append(f"{name}: expected {LEAST_NODES} to {MOST_NODES} operators, got {count}")
        if len(set(operators)) != count:
            found.append(f"{name}: expected each operator once")
        return found + self._wrong_threshold(count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateClusterSettings(NewClusterSettings):
    """What `dvtfast create cluster` can be told."""

    cluster_dir: Path = charon(
        "--cluster-dir",
        parsing.path,
        "Where the folders node0, node1 and so on are made.",
        default=".charon/cluster",
        metavar="DIR",
    )
    nodes: int = charon("--nodes", parsing.count, "How many nodes.", default="4", metavar="N")
    split_existing_keys: bool = charon(
        "--split-existing-keys",
        parsing.switch,
        "Split the keys of validators that there are, instead of new ones.",
        default="false",
    )
    split_keys_dir: Path | None = charon(
        "--split-keys-dir",
        parsing.directory,
        "With --split-existing-keys: their keystores, each keystore-*.json with its password in the .txt next"
        " to it.",
        optional=True,
        metavar="DIR",
    )
    insecure_keys: bool = charon(
        "--insecure-keys",
        parsing.switch,
        "Keystores that are made at once and protect nothing, for tests.",
        default="false",
    )
    one_derivation: bool = shared.one_derivation()
    threads: int | None = shared.threads()

    @property
    def validators(self) -> int | None:
        """As many as keystores, where these are split."""
        return None if self.split_existing_keys else self.num_validators

    def problems(self) -> list[str]:
        """Keys are new, or in a directory."""
        names = {field: source.name for field, source in self.sources().items()}
        found = super().problems()
        if not LEAST_NODES <= self.nodes <= MOST_NODES:
            found.append(f"{names['nodes']}: expected {LEAST_NODES} to {MOST_NODES}, got {self.nodes}")
        if self.split_existing_keys != (self.split_keys_dir is not None):
            found.append(f"{names['split_existing_keys']}, {names['split_keys_dir']}: expected both, or none")
        network = self.network.name if self.network else ""
        if self.insecure_keys and network not in INSECURE_NETWORKS:
            found.append(f"{names['insecure_keys']}: not on {network}, where stake is worth something")
        return found + self._wrong_threshold(self.nodes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateKeysharesSettings(CharonSettings):
    """What `dvtfast create keyshares` can be told."""

    network: Network = charon(
        "--network",
        parsing.network,
        "The network of the validators.",
        metavar="mainnet|hoodi",
    )
    ssv_operators: Path = setting(
        "--ssv-operators",
        parsing.file,
        "The operators of the cluster, 4, 7, 10 or 13: a JSON list of objects with id and public_key.",
    )
    ssv_owner: bytes = setting(
        "--ssv-owner",
        parsing.address,
        "The account that will register the validators.",
        metavar="ADDRESS",
    )
    ssv_owner_nonce: int = setting(
        "--ssv-owner-nonce",
        parsing.integer,
        "How many validators that account has registered before, failed ones too.",
        default="0",
        metavar="N",
    )
    num_validators: int = charon(
        "--num-validators", parsing.count, "How many validators.", default="1", metavar="N"
    )
    withdrawal_addresses: tuple[bytes, ...] = charon(
        "--withdrawal-addresses",
        parsing.address,
        "Who gets the stake back: one address, or one for each validator in its order.",
        many=True,
        metavar="ADDRESS,...",
    )
    deposit_amounts: tuple[int, ...] = charon(
        "--deposit-amounts",
        texts.deposit_amount,
        "Deposits that each validator gets signed, as the beacon chain counts; 32 when not set.",
        many=True,
        metavar="AMOUNT,...",
    )
    compounding: bool = charon(
        "--compounding",
        parsing.switch,
        "Validators with withdrawal credentials 0x02, whose rewards compound, up to 2,048 in each.",
        default="false",
    )
    split_keys_dir: Path | None = charon(
        "--split-keys-dir",
        parsing.directory,
        "Split the keys of these keystores instead of new ones, each keystore-*.json with its password in the"
        " .txt next to it.",
        optional=True,
        metavar="DIR",
    )
    output_dir: Path = charon(
        "--output-dir",
        parsing.path,
        "Where keyshares.json and deposit data are written.",
        default="ssv",
        metavar="DIR",
    )
    threads: int | None = shared.threads()

    def problems(self) -> list[str]:
        """Amounts are as those of clusters, and there is an address to give the stake back to."""
        names = {field: source.name for field, source in self.sources().items()}
        found = []
        if not self.withdrawal_addresses or not all(map(any, self.withdrawal_addresses)):
            found.append(f"{names['withdrawal_addresses']}: expected an address that gives the stake back")
        if self.num_validators > MAX_VALIDATORS:
            found.append(f"{names['num_validators']}: expected at most {MAX_VALIDATORS}")
        if self.network is not None and self.network.ssv_contract is None:
            found.append(f"{names['network']}: SSV is not on {self.network.name}")
        lines = wrong_amounts(self.deposit_amounts, is_compounding=self.compounding)
        return found + [f"{names['deposit_amounts']}: {line}" for line in lines]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CombineSettings(Settings):
    """What `dvtfast combine` can be told."""

    cluster_dir: Path = charon(
        "--cluster-dir",
        parsing.path,
        "A directory with the folders of at least as many nodes as must sign, whatever their names are.",
        default=".charon/cluster",
        metavar="DIR",
    )
    output_dir: Path = charon(
        "--output-dir",
        parsing.path,
        "Where the keystores of whole keys are written, a new directory.",
        default="validator_keys",
        metavar="DIR",
    )
    yes: bool = setting(
        "--yes", parsing.switch, "Ask nothing: whoever says so knows what is asked.", default="false"
    )
    no_verify: bool = shared.no_verify()
    threads: int | None = shared.threads()
