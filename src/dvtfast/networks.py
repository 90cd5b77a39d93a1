"""The networks that StakeWise vaults live on.

Sources: StakeWise sw-utils `networks.py`, checked against consensus-specs and the configurations of
the networks; StakeWise contracts as deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from dvtfast.constants import DOMAIN_DEPOSIT, DOMAIN_VOLUNTARY_EXIT, ROOT_BYTES
from dvtfast.domains import compute_domain
from dvtfast.errors import InputError

ZERO_ROOT: Final = bytes(ROOT_BYTES)


@dataclass(frozen=True)
class Network:
    """Constants of one network.

    `capella_epoch` is the epoch that StakeWise signs into every voluntary exit. `ssv_contract` is None where
    there is no SSV. StakeWise has a dump of the first validators on IPFS (`genesis_validators_cid`), of those
    that were deposited for up to the block `genesis_validators_last_block`. `has_validators_without_deposit`
    says that the beacon chain began with validators that the deposit contract knows nothing of.

    What is staked is called `stake_symbol`, what gas costs `gas_symbol`. The beacon chain counts the former
    in units of its own, `stake_factor` each: a full validator has 32 of them, 32 ETH or 1 GNO. StakeWise's
    operator offers at most `max_fee_gwei` for a unit of gas, and a tip of at least
    `min_priority_fee_gwei`, which nodes want. It gives a compounding validator at most
    `max_validator_balance_gwei`, less than the protocol's limit, so that rewards go on to compound.
    """

    name: str
    chain_id: int
    genesis_fork_version: bytes
    capella_fork_version: bytes
    capella_epoch: int
    genesis_validators_root: bytes
    genesis_time: int
    seconds_per_slot: int
    slots_per_epoch: int
    deposit_contract: str
    deposit_contract_block: int
    genesis_validators_cid: str
    genesis_validators_last_block: int
    has_validators_without_deposit: bool
    keeper: str
    keeper_genesis_block: int
    deposit_data_registry: str
    shared_mev_escrow: str
    consolidations_checker: str
    ssv_contract: str | None
    ssv_contract_block: int
    stake_symbol: str
    gas_symbol: str
    stake_factor: int
    max_fee_gwei: int
    min_priority_fee_gwei: int
    max_validator_balance_gwei: int

    @property
    def mev_is_stake(self) -> bool:
        """Whether what blocks earn beside the beacon chain's rewards is what is staked, too."""
        return self.gas_symbol == self.stake_symbol

    @cached_property
    def exit_domain(self) -> bytes:
        """Domain of voluntary exits: the Capella fork, whatever the epoch (EIP-7044)."""
        return compute_domain(DOMAIN_VOLUNTARY_EXIT, self.capella_fork_version, self.genesis_validators_root)

    @cached_property
    def deposit_domain(self) -> bytes:
        """Domain of deposits: the genesis fork and no validators root."""
        return compute_domain(DOMAIN_DEPOSIT, self.genesis_fork_version, ZERO_ROOT)


MAINNET: Final = Network(
    name="mainnet",
    chain_id=1,
    genesis_fork_version=bytes.fromhex("00000000"),
    capella_fork_version=bytes.fromhex("03000000"),
    capella_epoch=194_048,
    genesis_validators_root=bytes.fromhex("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
    genesis_time=1_606_824_023,
    seconds_per_slot=12,
    slots_per_epoch=32,
    deposit_contract="0x00000000219ab540356cBB839Cbe05303d7705Fa",
    deposit_contract_block=11_052_983,
    genesis_validators_cid="bafybeih7iqn3ke2cydzctd6bmg5j3xyjdhpg352lvzhxd2fld7h2erzpuu",
    genesis_validators_last_block=21_245_634,
    has_validators_without_deposit=False,
    keeper="0x6B5815467da09DaA7DC83Db21c9239d98Bb487b5",
    keeper_genesis_block=18_470_089,
    deposit_data_registry="0x75AB6DdCe07556639333d3Df1eaa684F5735223e",
    shared_mev_escrow="0x48319f97E5Da1233c21c48b80097c0FB7a20Ff86",
    consolidations_checker="0x033E5BaE5bdc459CBb7d388b41a9d62020Be810F",
    ssv_contract="0xDD9BC35aE942eF0cFa76930954a156B3fF30a4E1",
    ssv_contract_block=17_507_487,
    stake_symbol="ETH",
    gas_symbol="ETH",
    stake_factor=1,
    max_fee_gwei=10,
    min_priority_fee_gwei=0,
    max_validator_balance_gwei=1_945 * 10**9,
)

HOODI: Final = Network(
    name="hoodi",
    chain_id=560_048,
    genesis_fork_version=bytes.fromhex("10000910"),
    capella_fork_version=bytes.fromhex("40000910"),
    capella_epoch=0,
    genesis_validators_root=bytes.fromhex("212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
    genesis_time=1_742_213_400,
    seconds_per_slot=12,
    slots_per_epoch=32,
    deposit_contract="0x00000000219ab540356cBB839Cbe05303d7705Fa",
    deposit_contract_block=0,
    genesis_validators_cid="bafybeihgdexvx4oca6proa5adhcumf66zo5ugy5oppunsh2wnlo4ejnxgm",
    genesis_validators_last_block=1_118_796,
    has_validators_without_deposit=True,
    keeper="0xA7D1Ac9D6F32B404C75626874BA56f7654c1dC0f",
    keeper_genesis_block=94_074,
    deposit_data_registry="0x93a3f880E07B27dacA6Ef2d3C23E77DBd6294487",
    shared_mev_escrow="0x51FD45BAEfB12f54766B5C4d639b360Ea50063bd",
    consolidations_checker="0x033E5BaE5bdc459CBb7d388b41a9d62020Be810F",
    ssv_contract="0x58410Bef803ECd7E63B23664C586A6DB72DAf59c",
    ssv_contract_block=1_065,
    stake_symbol="ETH",
    gas_symbol="ETH",
    stake_factor=1,
    max_fee_gwei=10,
    min_priority_fee_gwei=0,
    max_validator_balance_gwei=1_945 * 10**9,
)

GNOSIS: Final = Network(
    name="gnosis",
    chain_id=100,
    genesis_fork_version=bytes.fromhex("00000064"),
    capella_fork_version=bytes.fromhex("03000064"),
    capella_epoch=648_704,
    genesis_validators_root=bytes.fromhex("f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
    genesis_time=1_638_993_340,
    seconds_per_slot=5,
    slots_per_epoch=16,
    deposit_contract="0x0B98057eA310F4d31F2a452B414647007d1645d9",
    deposit_contract_block=19_469_076,
    genesis_validators_cid="bafybeih5addmhcgkuwliowdu5in3y2o5jtcayazol4mgi2jmcgm3dkxqpu",
    genesis_validators_last_block=37_195_642,
    has_validators_without_deposit=False,
    keeper="0xcAC0e3E35d3BA271cd2aaBE688ac9DB1898C26aa",
    keeper_genesis_block=34_778_552,
    deposit_data_registry="0x58e16621B5c0786D6667D2d54E28A20940269E16",
    shared_mev_escrow="0x30db0d10d3774e78f8cB214b9e8B72D4B402488a",
    consolidations_checker="0x033E5BaE5bdc459CBb7d388b41a9d62020Be810F",
    ssv_contract=None,
    ssv_contract_block=0,
    stake_symbol="GNO",
    gas_symbol="xDAI",
    stake_factor=32,
    max_fee_gwei=2,
    min_priority_fee_gwei=1,
    max_validator_balance_gwei=1_800 * 10**9,
)

NETWORKS: Final[Mapping[str, Network]] = MappingProxyType({n.name: n for n in (MAINNET, HOODI, GNOSIS)})


def as_network(network: object) -> Network:
    """The same network.

    Raises:
        InputError: it is something else, such as a name.
    """
    if isinstance(network, Network):
        return network
    hint = f"; network_named({network!r}) is one" if isinstance(network, str) and network in NETWORKS else ""
    raise InputError(f"network: expected a Network, such as dvtfast.HOODI, got {network!r}{hint}")


def network_named(name: str) -> Network:
    """The network of that name.

    Raises:
        InputError: no such network.
    """
    try:
        return NETWORKS[name]
    except (KeyError, TypeError):
        raise InputError(f"network: expected one of {', '.join(NETWORKS)}, got {name!r}") from None


def network_with_chain_id(chain_id: int) -> Network:
    """The network whose transactions are for that chain.

    Raises:
        InputError: no such network.
    """
    for network in NETWORKS.values():
        if network.chain_id == chain_id:
            return network
    known = ", ".join(f"{n.chain_id} ({n.name})" for n in NETWORKS.values())
    raise InputError(f"chain_id: expected one of {known}, got {chain_id}")


def network_with_fork_version(genesis_fork_version: bytes) -> Network:
    """The network with that genesis fork version, as deposit data and cluster locks name it.

    Raises:
        InputError: no such network.
    """
    for network in NETWORKS.values():
        if network.genesis_fork_version == genesis_fork_version:
            return network
    known = ", ".join(f"{n.genesis_fork_version.hex()} ({n.name})" for n in NETWORKS.values())
    raise InputError(f"fork_version: expected one of {known}, got {bytes(genesis_fork_version).hex()}")
