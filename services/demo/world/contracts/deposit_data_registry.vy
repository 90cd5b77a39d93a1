# pragma version ^0.4.3
# Validators that register by their place in a vault's deposit data, proven by its Merkle root.

from shared import merkle

interface Keeper:
    def is_vault(vault: address) -> bool: view

interface Vault:
    def registerValidators(keeperParams: ApprovalParams, validatorsManagerSignature: Bytes[65]): nonpayable
    def updateState(harvestParams: HarvestParams): nonpayable

struct ApprovalParams:
    validatorsRegistryRoot: bytes32
    deadline: uint256
    validators: Bytes[MAX_VALIDATORS_BYTES]
    signatures: Bytes[30 * 65]
    exitSignaturesIpfsHash: String[128]

struct HarvestParams:
    rewardsRoot: bytes32
    reward: int160
    unlockedMevReward: uint160
    proof: DynArray[bytes32, 64]

event DepositDataRootUpdated:
    vault: indexed(address)
    depositDataRoot: bytes32

MAX_ITEMS: constant(uint256) = 256
V1_BYTES: constant(uint256) = 176
V2_BYTES: constant(uint256) = 184
MAX_VALIDATORS_BYTES: constant(uint256) = MAX_ITEMS * V2_BYTES
MAX_CALL_BYTES: constant(uint256) = MAX_VALIDATORS_BYTES + 65536

OWNER: immutable(address)
KEEPER: immutable(Keeper)

depositDataIndexes: public(HashMap[address, uint256])
depositDataRoots: public(HashMap[address, bytes32])


@deploy
def __init__(keeper: address):
    OWNER = msg.sender
    KEEPER = Keeper(keeper)


# A new root begins at its first validator.
@external
def setDepositDataRoot(vault: address, depositDataRoot: bytes32):
    self._check_vault(vault)
    if msg.sender != OWNER:
        raw_revert(method_id("AccessDenied()"))
    if depositDataRoot == self.depositDataRoots[vault]:
        raw_revert(method_id("ValueNotChanged()"))
    self.depositDataRoots[vault] = depositDataRoot
    self.depositDataIndexes[vault] = 0
    log DepositDataRootUpdated(vault=vault, depositDataRoot=depositDataRoot)


@external
def updateVaultState(vault: address, harvestParams: HarvestParams):
    extcall Vault(vault).updateState(harvestParams)


@external
def registerValidator(vault: address, keeperParams: ApprovalParams, proof: DynArray[bytes32, 64]):
    self._check_vault(vault)
    if len(keeperParams.validators) != V1_BYTES and len(keeperParams.validators) != V2_BYTES:
        raw_revert(method_id("InvalidValidator()"))
    index: uint256 = self.depositDataIndexes[vault]
    leaf: bytes32 = keccak256(keccak256(abi_encode(keeperParams.validators, index)))
    root: bytes32 = self.depositDataRoots[vault]
    if root == empty(bytes32) or merkle._root(proof, leaf) != root:
        raw_revert(method_id("InvalidProof()"))
    self.depositDataIndexes[vault] = index + 1
    extcall Vault(vault).registerValidators(keeperParams, b"")


# `indexes[i]` is the place of validator i among the leaves.
@external
def registerValidators(
    vault: address,
    keeperParams: ApprovalParams,
    indexes: DynArray[uint256, MAX_ITEMS],
    proofFlags: DynArray[bool, 512],
    proof: DynArray[bytes32, 512],
):
    self._check_vault(vault)
    count: uint256 = len(indexes)
    if count == 0 or len(keeperParams.validators) % count != 0:
        raw_revert(method_id("InvalidValidators()"))
    width: uint256 = len(keeperParams.validators) // count
    if width != V1_BYTES and width != V2_BYTES:
        raw_revert(method_id("InvalidValidators()"))
    leaves: DynArray[bytes32, MAX_ITEMS] = []
    for i: uint256 in range(count, bound=MAX_ITEMS):
        leaves.append(empty(bytes32))
    first: uint256 = self.depositDataIndexes[vault]
    for i: uint256 in range(count, bound=MAX_ITEMS):
        item: Bytes[V2_BYTES] = b""
        if width == V1_BYTES:
            item = slice(keeperParams.validators, i * V1_BYTES, V1_BYTES)
        else:
            item = slice(keeperParams.validators, i * V2_BYTES, V2_BYTES)
        leaves[indexes[i]] = keccak256(keccak256(abi_encode(item, first + i)))
    root: bytes32 = self.depositDataRoots[vault]
    if root == empty(bytes32) or merkle._multiproof_root(proof, proofFlags, leaves) != root:
        raw_revert(method_id("InvalidProof()"))
    self.depositDataIndexes[vault] = first + count
    extcall Vault(vault).registerValidators(keeperParams, b"")


@external
def multicall(data: DynArray[Bytes[MAX_CALL_BYTES], 4]) -> DynArray[Bytes[1024], 4]:
    answers: DynArray[Bytes[1024], 4] = []
    for call: Bytes[MAX_CALL_BYTES] in data:
        done: bool = False
        answer: Bytes[1024] = b""
        done, answer = raw_call(
            self, call, max_outsize=1024, is_delegate_call=True, revert_on_failure=False
        )
        if not done:
            raw_revert(answer)
        answers.append(answer)
    return answers


@internal
@view
def _check_vault(vault: address):
    if not staticcall KEEPER.is_vault(vault):
        raw_revert(method_id("InvalidVault()"))
