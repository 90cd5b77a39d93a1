"""The rest of the world: the deposit tree, rewards, and what else may be done with validators."""

from __future__ import annotations

import hashlib
from typing import Any

import aiohttp
import msgspec
import pytest

from dvtfast import HOODI, deposit_data_roots
from dvtfast.constants import GWEI_PER_VALIDATOR
from dvtfast.protocol_config import read_oracle_config
from dvtfast.services.chain.contracts.reads import deposit_count, latest_config
from dvtfast.services.chain.encoding import keccak256, read_data, write_address, write_data
from dvtfast.services.chain.execution.node import NodeClient
from dvtfast.services.chain.ipfs.client import IpfsClient, IpfsError
from dvtfast.services.demo.world import anvil, compiler
from dvtfast.services.demo.world.chain import RevertedError, encode_call
from dvtfast.services.demo.world.deployed_contracts import CONSOLIDATIONS, ETH, WITHDRAWALS, World
from dvtfast.services.demo.world.ipfs import gateway
from dvtfast.services.demo.world.oracles import OracleSet
from dvtfast.services.relayer.watches.chain_watch import ChainNodes
from dvtfast.services.settings import RelayerSettings
from tests.services.demo.world.registrations import (
    APPROVAL,
    CID,
    MANAGER_ADDRESS,
    Validators,
    approval,
    manager_signature,
    new_validators,
    oracle_signatures,
)
from tests.services.demo.world.test_world_registration import refused, register
from tests.services.patience import ANSWER_SECONDS

FINAL_BLOCKS = 70  # anvil's finalized block is 64 behind
DEPOSIT = "deposit(bytes,bytes,bytes,bytes32)"
HARVEST = "(bytes32,int160,uint160,bytes32[])"
NAME = "KeeperOracles"
ROTATION = {"vault": "address", "exitSignaturesIpfsHash": "string", "nonce": "uint256", "deadline": "uint256"}
UPDATE = "updateExitSignatures(address,uint256,string,bytes)"


def list_root(leaves: list[bytes]) -> bytes:
    """The hash tree root of a list of 2^32 items at most, the slow and obvious way."""
    nodes, zero = leaves, bytes(32)
    for _ in range(32):
        nodes = nodes + [zero] * (len(nodes) % 2)
        nodes = [hashlib.sha256(a + b).digest() for a, b in zip(nodes[::2], nodes[1::2], strict=True)]
        zero = hashlib.sha256(zero + zero).digest()
    root = nodes[0] if nodes else zero
    return hashlib.sha256(root + len(leaves).to_bytes(32, "little")).digest()


async def test_the_deposit_tree(world: World, node: NodeClient) -> None:
    leaves: list[bytes] = []
    for count in (1, 2, 3, 3):
        assert await world.registry_root() == list_root(leaves)
        assert await deposit_count(node, world.deposit_contract.address, block="latest") == len(leaves)
        leaves += [root.tobytes() for root in (await world.foreign_deposits(count)).data_roots]
    assert await world.registry_root() == list_root(leaves)


@pytest.mark.parametrize(
    ("at", "argument", "wei", "reason"),
    [
        (0, bytes(47), 32 * ETH, "invalid pubkey length"),
        (1, bytes(33), 32 * ETH, "invalid withdrawal_credentials length"),
        (2, bytes(95), 32 * ETH, "invalid signature length"),
        (3, bytes(32), 32 * ETH, "reconstructed DepositData does not match"),
        (3, None, ETH - 10**9, "deposit value too low"),
        (3, None, 32 * ETH + 1, "deposit value not multiple of gwei"),
        (3, None, 2**64 * 10**9, "deposit value too high"),
    ],
)
async def test_deposits_that_are_refused(
    world: World, at: int, argument: bytes | None, wei: int, reason: str
) -> None:
    arguments = [bytes([1] * 48), bytes([2] * 32), bytes([3] * 96)]
    (root,) = deposit_data_roots(*([each] for each in arguments[:2]), [GWEI_PER_VALIDATOR], [arguments[2]])
    arguments.append(root.tobytes())
    if argument is not None:
        arguments[at] = argument
    with pytest.raises(RevertedError, match=reason):
        await world.deposit_contract.send(DEPOSIT, *arguments, value=wei)


async def test_the_config(world: World, node: NodeClient, oracle_set: OracleSet) -> None:
    last = await node.block("latest")
    pointer = await latest_config(node, world.keeper.address, first=world.first_block, last=last)
    assert pointer is not None
    async with gateway(world.files) as url, IpfsClient([url], timeout_seconds=ANSWER_SECONDS) as ipfs:
        content = await ipfs.fetch(pointer.cid, limit_bytes=2**20)
        assert content == oracle_set.config.read_bytes()
        with pytest.raises(IpfsError, match="HTTP 404"):
            await ipfs.fetch(CID, limit_bytes=2**20)
    with refused("InvalidOracles"):
        await world.keeper.send("setValidatorsMinOracles(uint256)", 4)
    with refused("AlreadyAdded"):
        await world.keeper.send("addOracle(address)", oracle_set.addresses[0])
    stranger = (await world.chain.accounts())[1]
    for call, argument in (
        ("addOracle(address)", stranger),
        ("removeOracle(address)", oracle_set.addresses[0]),
        ("setValidatorsMinOracles(uint256)", 1),
        ("updateConfig(string)", CID),
        ("add_vault(address)", stranger),
    ):
        with refused("AccessDenied"):
            await world.keeper.send(call, argument, sender=stranger)


@pytest.fixture
async def registered(world: World, oracle_set: OracleSet) -> Validators:
    """Compounding validators of the vault, which has 872 ETH left."""
    await world.set_manager(MANAGER_ADDRESS)
    await world.stake(1000 * ETH)
    validators = new_validators(world.vault.address, 4, 2)
    await register(world, oracle_set, validators)
    return validators


async def withdrawable(world: World) -> int:
    value: int = await world.vault.call("withdrawableAssets()", ["uint256"])
    return value


async def can_and_must(world: World) -> tuple[bool, bool]:
    vault = world.vault.address
    can = await world.keeper.call("canHarvest(address)", ["bool"], vault)
    return can, await world.keeper.call("isHarvestRequired(address)", ["bool"], vault)


async def test_rewards(world: World, oracle_set: OracleSet, registered: Validators) -> None:
    before = await withdrawable(world)
    assert await can_and_must(world) == (False, False)
    tree = await world.vote_rewards(10 * ETH, unlocked_mev=3 * ETH, locked_mev=ETH)
    assert await can_and_must(world) == (True, False)
    assert await withdrawable(world) == before  # until the state is updated
    params = tree.harvest_params(world.vault.address)
    assert params[1:3] == (14 * ETH, 3 * ETH)
    update = encode_call(f"updateState({HARVEST})", params)
    look = encode_call("withdrawableAssets()")
    (_, seen) = await world.vault.call("multicall(bytes[])", ["bytes[]"], [update, look])
    assert int.from_bytes(seen, "big") == before + 3 * ETH
    assert await withdrawable(world) == before
    await world.vote_rewards(11 * ETH, unlocked_mev=5 * ETH)
    assert await can_and_must(world) == (True, True)
    with refused("NotHarvested"):
        await register(world, oracle_set, new_validators(world.vault.address, 1))
    with refused("NotHarvested"):
        await world.stake(ETH)
    await world.vault.send(f"updateState({HARVEST})", params)  # the vote before the last
    assert await can_and_must(world) == (True, False)
    assert await withdrawable(world) == before + 3 * ETH
    assert await world.vault.call("totalAssets()", ["uint256"]) == 1014 * ETH


async def test_rewards_and_registration_in_one_transaction(
    world: World, oracle_set: OracleSet, registered: Validators
) -> None:
    tree = await world.vote_rewards(ETH, unlocked_mev=32 * ETH, times=2)
    left = await withdrawable(world)
    joined = b"".join(new_validators(world.vault.address, left // (32 * ETH) + 1).items)
    params = await approval(world, joined, oracle_set.secrets[:2])
    calls = [
        encode_call(f"updateState({HARVEST})", tree.harvest_params(world.vault.address)),
        encode_call(
            f"registerValidators({APPROVAL},bytes)", params, manager_signature(world, params[0], joined)
        ),
    ]
    with refused("NotHarvested"):  # the reason comes through
        await world.vault.send("multicall(bytes[])", calls[1:])
    await world.vault.send("multicall(bytes[])", calls)
    assert await withdrawable(world) == left % (32 * ETH)


async def test_queued_exits_grow_with_rewards(world: World, registered: Validators) -> None:
    await world.queue_exits(100 * ETH)
    assert await withdrawable(world) == 772 * ETH
    tree = await world.vote_rewards(100 * ETH)  # a tenth more for each share
    await world.vault.send(f"updateState({HARVEST})", tree.harvest_params(world.vault.address))
    assert await withdrawable(world) == 762 * ETH


async def test_rewards_that_are_refused(world: World, registered: Validators) -> None:
    tree = await world.vote_rewards(2 * ETH)
    root, reward, unlocked, proof = tree.harvest_params(world.vault.address)
    call = f"updateState({HARVEST})"
    with refused("InvalidProof"):
        await world.vault.send(call, (root, reward + 1, unlocked, proof))
    with refused("InvalidProof"):
        await world.vault.send(call, (root, reward, unlocked, []))
    with refused("InvalidRewardsRoot"):
        await world.vault.send(call, (bytes([1]) * 32, reward, unlocked, proof))
    with refused("AccessDenied"):
        await world.keeper.send(f"harvest({HARVEST})", (root, reward, unlocked, proof))
    with refused("HarvestFailed"):
        await world.mev_escrow.send("harvest(uint256)", 0)
    registry_call = f"updateVaultState(address,{HARVEST})"
    await world.registry.send(registry_call, world.vault.address, (root, reward, unlocked, proof))
    assert await can_and_must(world) == (False, False)
    document = msgspec.json.decode(tree.document())
    (row,) = (each for each in document["vaults"] if each["vault"] == write_address(world.vault.address))
    assert row == {
        "vault": write_address(world.vault.address),
        "consensus_reward": str(2 * ETH),
        "unlocked_mev_reward": "0",
        "locked_mev_reward": "0",
        "proof": [write_data(node) for node in proof],
    }


def top_up(world: World, key: bytes, amount: int) -> bytes:
    credentials = bytes([2]) + bytes(11) + world.vault.address
    (root,) = deposit_data_roots([key], [credentials], [amount], [bytes(96)])
    return key + bytes(96) + root.tobytes() + amount.to_bytes(8, "big")


def by_manager(world: World, nonce: int, validators: bytes) -> bytes:
    return manager_signature(world, nonce.to_bytes(32, "big"), validators)


async def nonce_of(world: World) -> int:
    nonce: int = await world.vault.call("validatorsManagerNonce()", ["uint256"])
    return nonce


async def test_each_signature_of_the_manager_raises_the_nonce(
    world: World, oracle_set: OracleSet, registered: Validators
) -> None:
    """Source: v3-core; one of a registration too. None is needed, nor raised, where he is the sender."""
    assert await nonce_of(world) == 1
    await register(world, oracle_set, new_validators(world.vault.address, 1))
    assert await nonce_of(world) == 2
    item = top_up(world, registered.public_keys[0], 5 * 10**9)
    await world.vault.send("fundValidators(bytes,bytes)", item, by_manager(world, 2, item))
    assert await nonce_of(world) == 3
    sender = (await world.chain.accounts())[1]
    await world.set_manager(sender)
    await world.vault.send("fundValidators(bytes,bytes)", item, b"", sender=sender)
    with refused("AccessDenied"):
        await world.vault.send("fundValidators(bytes,bytes)", item, b"")
    assert await nonce_of(world) == 3


async def test_funding(world: World, registered: Validators) -> None:
    call = "fundValidators(bytes,bytes)"
    item = top_up(world, registered.public_keys[0], 5 * 10**9)
    with refused("AccessDenied"):
        await world.vault.send(call, item, by_manager(world, 0, item))
    await world.vault.send(call, item, by_manager(world, 1, item))
    assert await withdrawable(world) == 867 * ETH
    with refused("AccessDenied"):  # the same again
        await world.vault.send(call, item, by_manager(world, 1, item))
    foreign = top_up(world, bytes(48), 10**9)
    with refused("InvalidValidators"):
        await world.vault.send(call, foreign, by_manager(world, 2, foreign))
    ambiguous = item * 22
    with refused("InvalidValidators"):
        await world.vault.send(call, ambiguous, by_manager(world, 2, ambiguous))
    assert await nonce_of(world) == 2


async def logged(world: World, address: str, block: int) -> list[bytes]:
    wanted = {"address": address, "fromBlock": hex(block), "toBlock": hex(block)}
    return [read_data(each["data"]) for each in await world.chain.rpc("eth_getLogs", wanted)]


async def test_withdrawing(world: World, registered: Validators) -> None:
    call = "withdrawValidators(bytes,bytes)"
    items = b"".join(key + (10**9).to_bytes(8, "big") for key in registered.public_keys[:2])
    signature = by_manager(world, 1, items)
    with pytest.raises(RevertedError, match="the fee of the requests"):
        await world.vault.send(call, items, signature, value=1)
    for wrong in (items[:-1], b""):
        with refused("AccessDenied" if not wrong else "InvalidValidators"):
            await world.vault.send(call, wrong, by_manager(world, 1, wrong), value=2)
    block = await world.vault.send(call, items, signature, value=5)
    asked = [world.vault.address + items[:56], world.vault.address + items[56:]]
    assert await logged(world, WITHDRAWALS, block) == asked
    assert await world.chain.balance(read_data(WITHDRAWALS)) == 2  # the rest was given back
    assert await withdrawable(world) == 872 * ETH


async def test_what_needs_validators_and_no_harvest(world: World, registered: Validators) -> None:
    """Source: v3-core; withdrawals and consolidations demand that the vault is collateralized."""
    await world.vote_rewards(ETH, times=2)
    assert await can_and_must(world) == (True, True)
    source, target = registered.public_keys[:2]
    item = source + (10**9).to_bytes(8, "big")
    await world.vault.send("withdrawValidators(bytes,bytes)", item, by_manager(world, 1, item), value=1)
    both = source + target
    await world.vault.send(CONSOLIDATE, both, by_manager(world, 2, both), b"", value=1)
    added = top_up(world, source, 10**9)
    with refused("NotHarvested"):
        await world.vault.send("fundValidators(bytes,bytes)", added, by_manager(world, 3, added))


async def test_a_vault_without_validators(world: World) -> None:
    await world.set_manager(MANAGER_ADDRESS)
    item, pair = bytes(56), bytes(96)
    with refused("NotCollateralized"):
        await world.vault.send("withdrawValidators(bytes,bytes)", item, by_manager(world, 0, item), value=1)
    with refused("NotCollateralized"):
        await world.vault.send(CONSOLIDATE, pair, by_manager(world, 0, pair), b"", value=1)


CONSOLIDATE = "consolidateValidators(bytes,bytes,bytes)"


def approved(world: World, oracle_set: OracleSet, validators: bytes) -> bytes:
    """By two of the oracles."""
    values, name = [world.vault.address, validators], "ConsolidationsChecker"
    fields = {"vault": "address", "validators": "bytes"}
    return oracle_signatures(world, name, name, fields, values, oracle_set.secrets[:2])


async def test_consolidating(world: World, oracle_set: OracleSet, registered: Validators) -> None:
    source, target = registered.public_keys[:2]
    both = source + target
    block = await world.vault.send(CONSOLIDATE, both, by_manager(world, 1, both), b"", value=1)
    assert await logged(world, CONSOLIDATIONS, block) == [world.vault.address + both]
    foreign = source + bytes(48)
    with refused("InvalidValidators"):
        await world.vault.send(CONSOLIDATE, foreign, by_manager(world, 2, foreign), b"", value=1)
    signed = approved(world, oracle_set, foreign)
    with refused("InvalidOracle"):
        wrong = signed[65:] + signed[:65]
        await world.vault.send(CONSOLIDATE, foreign, by_manager(world, 2, foreign), wrong, value=1)
    await world.vault.send(CONSOLIDATE, foreign, by_manager(world, 2, foreign), signed, value=1)


async def test_a_switch_needs_the_oracles(
    world: World, oracle_set: OracleSet, registered: Validators
) -> None:
    """Source: v3-core; source and target are the same, also of a validator that the vault knows."""
    ordinary = new_validators(world.vault.address, 1)
    await register(world, oracle_set, ordinary)
    for key in (registered.public_keys[0], ordinary.public_keys[0]):
        itself = key + key
        nonce = await nonce_of(world)
        with refused("InvalidValidators"):
            await world.vault.send(CONSOLIDATE, itself, by_manager(world, nonce, itself), b"", value=1)
        signed = approved(world, oracle_set, itself)
        await world.vault.send(CONSOLIDATE, itself, by_manager(world, nonce, itself), signed, value=1)
        assert await world.vault.call("v2Validators(bytes32)", ["bool"], keccak256(key))


async def test_rotating(world: World, oracle_set: OracleSet, registered: Validators) -> None:
    vault = world.vault.address
    deadline = await world.chain.timestamp() + 600

    def by_oracles(nonce: int, secrets: Any = oracle_set.secrets[:2], until: int = deadline) -> bytes:
        values = [vault, CID, nonce, until]
        return oracle_signatures(world, NAME, "KeeperValidators", ROTATION, values, secrets)

    for name, arguments in (
        ("InvalidOracle", (vault, deadline, CID, by_oracles(1))),
        ("InvalidOracle", (vault, deadline + 1, CID, by_oracles(0))),
        ("NotEnoughSignatures", (vault, deadline, CID, by_oracles(0, oracle_set.secrets[:1]))),
        ("DeadlineExpired", (vault, 1, CID, by_oracles(0, until=1))),
        ("InvalidVault", (bytes(20), deadline, CID, by_oracles(0))),
    ):
        with refused(name):
            await world.keeper.send(UPDATE, *arguments)
    await world.keeper.send(UPDATE, vault, deadline, CID, by_oracles(0))
    assert await world.keeper.call("exitSignaturesNonces(address)", ["uint256"], vault) == 1
    other = (await world.new_vault()).address  # without validators
    with refused("InvalidVault"):
        await world.keeper.send(UPDATE, other, deadline, CID, by_oracles(0))


def test_contracts_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiler.compiled()
    monkeypatch.setattr(compiler, "_compile", lambda _: pytest.fail("compiled again"))
    assert compiler.compiled() == first


def test_a_machine_without_anvil(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(anvil, "REPOSITORY", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(anvil.NoAnvilError, match="make build/anvil/made"), anvil.running(tmp_path):
        pass


def test_the_network_is_hoodis() -> None:
    assert HOODI.chain_id == anvil.CHAIN_ID


async def test_a_relayer_that_is_told_of_the_contracts(world: World, oracle_set: OracleSet) -> None:
    await world.chain.mine(FINAL_BLOCKS)
    await world.set_manager(MANAGER_ADDRESS)
    async with gateway(world.files) as url:
        flags = {
            "network": "hoodi",
            "execution_endpoints": [world.chain.url],
            "ipfs_gateways": [url],
            "deposit_contract": write_address(world.deposit_contract.address),
            "keeper": write_address(world.keeper.address),
            "signature_threshold": "3",
        }
        async with ChainNodes.connected(RelayerSettings.load(flags, {})) as chain:
            oracles = await chain.announced_oracles()
            assert (oracles.public_keys == read_oracle_config(oracle_set.config).public_keys).all()
            assert await chain.vaults.registry_root() == await world.registry_root()
            assert await chain.vaults.manager(world.vault.address) == MANAGER_ADDRESS


async def test_the_gateway_says_what_a_file_is(world: World) -> None:
    """Source: IPFS path gateway specification. Readers of JSON, such as aiohttp's, look at it."""
    config = world.files.add(b'{"oracles": []}')
    other = world.files.add(b"\x00\xff")
    async with gateway(world.files) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/ipfs/{config}") as answer:
            assert await answer.json() == {"oracles": []}
        async with session.get(f"{url}/ipfs/{other}") as answer:
            assert answer.content_type == "application/octet-stream"
        raw = "application/vnd.ipld.raw"
        for asked in ({"params": {"format": "raw"}}, {"headers": {"Accept": raw}}):
            async with session.get(f"{url}/ipfs/{config}", **asked) as answer:
                assert (answer.content_type, await answer.read()) == (raw, b'{"oracles": []}')
