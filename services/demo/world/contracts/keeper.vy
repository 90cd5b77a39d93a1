# pragma version ^0.4.3
# The Keeper: who the oracles are, what they approved, and the rewards that they voted.
# It has the interface of StakeWise's, whose names are in camel case; what is in snake case is ours.

from shared import eip712
from shared import merkle

interface DepositContract:
    def get_deposit_root() -> bytes32: view

struct ApprovalParams:
    validatorsRegistryRoot: bytes32
    deadline: uint256
    validators: Bytes[MAX_VALIDATORS_BYTES]
    signatures: Bytes[MAX_SIGNATURES_BYTES]
    exitSignaturesIpfsHash: String[MAX_CID_CHARACTERS]

struct HarvestParams:
    rewardsRoot: bytes32
    reward: int160
    unlockedMevReward: uint160
    proof: DynArray[bytes32, 64]

struct Reward:
    assets: int160
    nonce: uint256

event OracleAdded:
    oracle: indexed(address)

event OracleRemoved:
    oracle: indexed(address)

event ConfigUpdated:
    configIpfsHash: String[MAX_CID_CHARACTERS]

event ValidatorsMinOraclesUpdated:
    oracles: uint256

event ValidatorsApproval:
    vault: indexed(address)
    exitSignaturesIpfsHash: String[MAX_CID_CHARACTERS]

event ExitSignaturesUpdated:
    caller: indexed(address)
    vault: indexed(address)
    nonce: uint256
    exitSignaturesIpfsHash: String[MAX_CID_CHARACTERS]

event RewardsUpdated:
    caller: indexed(address)
    rewardsRoot: indexed(bytes32)
    avgRewardPerSecond: uint256
    updateTimestamp: uint64
    nonce: uint64
    rewardsIpfsHash: String[MAX_CID_CHARACTERS]

event Harvested:
    vault: indexed(address)
    rewardsRoot: indexed(bytes32)
    totalAssetsDelta: int256
    unlockedMevDelta: uint256

MAX_VALIDATORS_BYTES: constant(uint256) = 256 * 184
MAX_ORACLES: constant(uint256) = 30
SIGNATURE_BYTES: constant(uint256) = 65
MAX_SIGNATURES_BYTES: constant(uint256) = MAX_ORACLES * SIGNATURE_BYTES
MAX_CID_CHARACTERS: constant(uint256) = 128

KEEPER_ORACLES: constant(bytes32) = keccak256("KeeperOracles")
CONSOLIDATIONS_CHECKER: constant(bytes32) = keccak256("ConsolidationsChecker")
APPROVAL: constant(bytes32) = keccak256(
    "KeeperValidators(bytes32 validatorsRegistryRoot,address vault,bytes validators,string exitSignaturesIpfsHash,uint256 deadline)"
)
ROTATION: constant(bytes32) = keccak256(
    "KeeperValidators(address vault,string exitSignaturesIpfsHash,uint256 nonce,uint256 deadline)"
)
CONSOLIDATION: constant(bytes32) = keccak256("ConsolidationsChecker(address vault,bytes validators)")

OWNER: immutable(address)
DEPOSIT_CONTRACT: immutable(DepositContract)

isOracle: public(HashMap[address, bool])
totalOracles: public(uint256)
validatorsMinOracles: public(uint256)
exitSignaturesNonces: public(HashMap[address, uint256])
prevRewardsRoot: public(bytes32)
rewardsRoot: public(bytes32)
rewardsNonce: public(uint64)
rewards: public(HashMap[address, Reward])
unlockedMevRewards: public(HashMap[address, uint160])
is_vault: public(HashMap[address, bool])


@deploy
def __init__(deposit_contract: address):
    OWNER = msg.sender
    DEPOSIT_CONTRACT = DepositContract(deposit_contract)
    self.rewardsNonce = 1


@external
def approveValidators(params: ApprovalParams):
    if not self.is_vault[msg.sender]:
        raw_revert(method_id("AccessDenied()"))
    if staticcall DEPOSIT_CONTRACT.get_deposit_root() != params.validatorsRegistryRoot:
        raw_revert(method_id("InvalidValidatorsRegistryRoot()"))
    if params.deadline < block.timestamp:
        raw_revert(method_id("DeadlineExpired()"))
    message: bytes32 = keccak256(
        abi_encode(
            APPROVAL,
            params.validatorsRegistryRoot,
            msg.sender,
            keccak256(params.validators),
            keccak256(params.exitSignaturesIpfsHash),
            params.deadline,
        )
    )
    self._verify(eip712._digest(KEEPER_ORACLES, message), params.signatures)
    if self.rewards[msg.sender].nonce == 0:
        self.rewards[msg.sender].nonce = convert(self.rewardsNonce, uint256)
    log ValidatorsApproval(vault=msg.sender, exitSignaturesIpfsHash=params.exitSignaturesIpfsHash)


@external
def updateExitSignatures(
    vault: address,
    deadline: uint256,
    exitSignaturesIpfsHash: String[MAX_CID_CHARACTERS],
    oraclesSignatures: Bytes[MAX_SIGNATURES_BYTES],
):
    if not self.is_vault[vault] or self.rewards[vault].nonce == 0:
        raw_revert(method_id("InvalidVault()"))
    if deadline < block.timestamp:
        raw_revert(method_id("DeadlineExpired()"))
    nonce: uint256 = self.exitSignaturesNonces[vault]
    message: bytes32 = keccak256(
        abi_encode(ROTATION, vault, keccak256(exitSignaturesIpfsHash), nonce, deadline)
    )
    self._verify(eip712._digest(KEEPER_ORACLES, message), oraclesSignatures)
    self.exitSignaturesNonces[vault] = nonce + 1
    log ExitSignaturesUpdated(
        caller=msg.sender, vault=vault, nonce=nonce, exitSignaturesIpfsHash=exitSignaturesIpfsHash
    )


# A contract of its own at StakeWise.
@external
def verify_consolidation(
    vault: address, validators: Bytes[MAX_VALIDATORS_BYTES], signatures: Bytes[MAX_SIGNATURES_BYTES]
):
    message: bytes32 = keccak256(abi_encode(CONSOLIDATION, vault, keccak256(validators)))
    self._verify(eip712._digest(CONSOLIDATIONS_CHECKER, message), signatures)


@external
@view
def canHarvest(vault: address) -> bool:
    nonce: uint256 = self.rewards[vault].nonce
    return nonce != 0 and nonce < convert(self.rewardsNonce, uint256)


# It has registered validators.
@external
@view
def isCollateralized(vault: address) -> bool:
    return self.rewards[vault].nonce != 0


# A vault may be one update behind.
@external
@view
def isHarvestRequired(vault: address) -> bool:
    nonce: uint256 = self.rewards[vault].nonce
    return nonce != 0 and nonce + 1 < convert(self.rewardsNonce, uint256)


# What the vault's assets grew by, what of it is unlocked MEV, and whether there was anything to harvest.
@external
def harvest(params: HarvestParams) -> (int256, uint256, bool):
    if not self.is_vault[msg.sender]:
        raw_revert(method_id("AccessDenied()"))
    nonce: uint256 = convert(self.rewardsNonce, uint256)
    if params.rewardsRoot != self.rewardsRoot:
        if params.rewardsRoot != self.prevRewardsRoot:
            raw_revert(method_id("InvalidRewardsRoot()"))
        nonce -= 1
    leaf: bytes32 = keccak256(
        keccak256(abi_encode(msg.sender, params.reward, params.unlockedMevReward))
    )
    if params.rewardsRoot == empty(bytes32) or merkle._root(params.proof, leaf) != params.rewardsRoot:
        raw_revert(method_id("InvalidProof()"))
    last: Reward = self.rewards[msg.sender]
    if last.nonce >= nonce:
        return 0, 0, False
    assets_delta: int256 = convert(params.reward, int256) - convert(last.assets, int256)
    self.rewards[msg.sender] = Reward(assets=params.reward, nonce=nonce)
    # Less than before would be an oracles' error, and reverts.
    mev_delta: uint160 = params.unlockedMevReward - self.unlockedMevRewards[msg.sender]
    self.unlockedMevRewards[msg.sender] = params.unlockedMevReward
    log Harvested(
        vault=msg.sender,
        rewardsRoot=params.rewardsRoot,
        totalAssetsDelta=assets_delta,
        unlockedMevDelta=convert(mev_delta, uint256),
    )
    return assets_delta, convert(mev_delta, uint256), True


@external
def addOracle(oracle: address):
    self._check_owner()
    if self.isOracle[oracle]:
        raw_revert(method_id("AlreadyAdded()"))
    assert self.totalOracles < MAX_ORACLES, "too many oracles"
    self.isOracle[oracle] = True
    self.totalOracles += 1
    log OracleAdded(oracle=oracle)


@external
def removeOracle(oracle: address):
    self._check_owner()
    if not self.isOracle[oracle]:
        raw_revert(method_id("AlreadyRemoved()"))
    self.isOracle[oracle] = False
    self.totalOracles -= 1
    log OracleRemoved(oracle=oracle)


@external
def updateConfig(configIpfsHash: String[MAX_CID_CHARACTERS]):
    self._check_owner()
    log ConfigUpdated(configIpfsHash=configIpfsHash)


@external
def setValidatorsMinOracles(oracles: uint256):
    self._check_owner()
    if oracles == 0 or oracles > self.totalOracles:
        raw_revert(method_id("InvalidOracles()"))
    self.validatorsMinOracles = oracles
    log ValidatorsMinOraclesUpdated(oracles=oracles)


@external
def add_vault(vault: address):
    self._check_owner()
    self.is_vault[vault] = True


# StakeWise's takes the oracles' signatures here.
@external
def update_rewards(root: bytes32, ipfs_hash: String[MAX_CID_CHARACTERS]):
    self._check_owner()
    self.prevRewardsRoot = self.rewardsRoot
    self.rewardsRoot = root
    self.rewardsNonce += 1
    log RewardsUpdated(
        caller=msg.sender,
        rewardsRoot=root,
        avgRewardPerSecond=0,
        updateTimestamp=convert(block.timestamp, uint64),
        nonce=self.rewardsNonce,
        rewardsIpfsHash=ipfs_hash,
    )


# The first of the signatures, as many as must be, are by different oracles in the order of their addresses.
@internal
@view
def _verify(digest: bytes32, signatures: Bytes[MAX_SIGNATURES_BYTES]):
    required: uint256 = self.validatorsMinOracles
    if required == 0 or len(signatures) < required * SIGNATURE_BYTES:
        raw_revert(method_id("NotEnoughSignatures()"))
    last: address = empty(address)
    for i: uint256 in range(required, bound=MAX_ORACLES):
        signature: Bytes[65] = slice(signatures, i * SIGNATURE_BYTES, 65)
        oracle: address = eip712._signer(digest, signature)
        if convert(oracle, uint256) <= convert(last, uint256) or not self.isOracle[oracle]:
            raw_revert(method_id("InvalidOracle()"))
        last = oracle


@internal
@view
def _check_owner():
    if msg.sender != OWNER:
        raw_revert(method_id("AccessDenied()"))
