"""Network constants and their domains."""

import pytest

import dvtfast
from dvtfast import InputError
from tests.vector_files import cases, load, unhex

VECTORS = load("networks.json")


@pytest.mark.parametrize("name", cases(VECTORS["current"], str))
def test_network(name):
    network, expected = dvtfast.network_named(name), VECTORS["current"][name]
    assert network is dvtfast.NETWORKS[name]
    assert network.name == name
    for field in ["chain_id", "capella_epoch", "seconds_per_slot", "slots_per_epoch", "genesis_time"]:
        assert getattr(network, field) == expected[field], field
    for field in ["genesis_fork_version", "capella_fork_version", "genesis_validators_root"]:
        assert getattr(network, field) == unhex(expected[field]), field
    assert network.exit_domain == unhex(expected["exit_domain"])
    assert network.deposit_domain == unhex(expected["deposit_domain"])
    assert network.deposit_contract_block == expected["deposit_contract_block"]
    assert network.genesis_validators_cid == expected["genesis_validators_ipfs"]
    assert network.genesis_validators_last_block == expected["genesis_validators_last_block"]
    assert network.has_validators_without_deposit == (name == "hoodi")
    for field in ["deposit_contract", "keeper"]:
        assert address(getattr(network, field)) == address(expected[field]), field
    ssv = expected.get("ssv_network")
    assert (network.ssv_contract is None) == (ssv is None)
    if ssv is not None:
        assert address(network.ssv_contract) == address(ssv)
        assert network.ssv_contract_block == expected["ssv_genesis_block"]
    assert dvtfast.network_with_fork_version(unhex(expected["genesis_fork_version"])) is network


def test_there_are_no_others():
    assert set(dvtfast.NETWORKS) == set(VECTORS["current"])


@pytest.mark.parametrize("name", cases(VECTORS["retired_or_not_stakewise"], str))
def test_retired_network_is_refused_by_name(name):
    with pytest.raises(InputError, match="mainnet"):
        dvtfast.network_named(name)
    fork_version = unhex(VECTORS["retired_or_not_stakewise"][name].get("genesis_fork_version", "01020304"))
    with pytest.raises(InputError):
        dvtfast.network_with_fork_version(fork_version)


@pytest.mark.parametrize("name", cases(VECTORS["current"] | VECTORS["retired_or_not_stakewise"], str))
def test_compute_domain(name):
    given = (VECTORS["current"] | VECTORS["retired_or_not_stakewise"])[name]
    if "capella_fork_version" in given and "genesis_validators_root" in given:
        got = dvtfast.compute_domain(
            unhex("04000000"), unhex(given["capella_fork_version"]), unhex(given["genesis_validators_root"])
        )
        assert got == unhex(given["exit_domain"])
    if "deposit_domain" in given:
        got = dvtfast.compute_domain(unhex("03000000"), unhex(given["genesis_fork_version"]), bytes(32))
        assert got == unhex(given["deposit_domain"])


def address(value):
    return unhex(value) if isinstance(value, str) else bytes(value)
