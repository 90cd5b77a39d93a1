# pragma version ^0.4.3
# A vault: its state, its rewards, and what may be done with its validators.
# It has the interface of StakeWise's, whose names are in camel case; what is in snake case is ours.

from shared import eip712

interface DepositContract:
    def deposit(
        pubkey: Bytes[48], withdrawal_credentials: Bytes[32], signature: Bytes[96], deposit_data_root: bytes32
    ): payable

interface Keeper:
    def approveValidators(params: ApprovalParams): nonpayable
    def isHarvestRequired(vault: address) -> bool: view
    def isCollateralized(vault: address) -> bool: view
    def harvest(params: HarvestParams) -> (int256, uint256, bool): nonpayable
    def verify_consolidation(
        vault: address, validators: Bytes[MAX_VALIDATORS_BYTES], signatures: Bytes[MAX_SIGNATURES_BYTES]
    ): nonpayable

interface MevEscrow:
    def harvest(assets: uint256): nonpayable

struct ApprovalParams:
    validatorsRegistryRoot: bytes32
    deadline: uint256
    validators: Bytes[MAX_VALIDATORS_BYTES]
    signatures: Bytes[MAX_SIGNATURES_BYTES]
    exitSignaturesIpfsHash: String[128]

struct HarvestParams:
    rewardsRoot: bytes32
    reward: int160
    unlockedMevReward: uint160
    proof: DynArray[bytes32, 64]

event ValidatorRegistered:
    publicKey: Bytes[48]

event V2ValidatorRegistered:
    publicKey: Bytes[48]
    amount: uint256

event ValidatorFunded:
    publicKey: Bytes[48]
    amount: uint256

event ValidatorWithdrawalSubmitted:
    publicKey: Bytes[48]
    amount: uint256
    feePaid: uint256

event ValidatorConsolidationSubmitted:
    fromPublicKey: Bytes[48]
    toPublicKey: Bytes[48]
    feePaid: uint256

event ValidatorsManagerUpdated:
    caller: indexed(address)
    validatorsManager: indexed(address)

MAX_ITEMS: constant(uint256) = 256
V1_BYTES: constant(uint256) = 176
V2_BYTES: constant(uint256) = 184
WITHDRAWAL_BYTES: constant(uint256) = 56
CONSOLIDATION_BYTES: constant(uint256) = 96
MAX_VALIDATORS_BYTES: constant(uint256) = MAX_ITEMS * V2_BYTES
MAX_SIGNATURES_BYTES: constant(uint256) = 30 * 65
MAX_CALL_BYTES: constant(uint256) = MAX_VALIDATORS_BYTES + 8192
WEI_PER_GWEI: constant(uint256) = 10**9
MIN_AMOUNT: constant(uint256) = 32 * 10**18
MAX_AMOUNT: constant(uint256) = 2048 * 10**18

VAULT_VALIDATORS: constant(bytes32) = keccak256("VaultValidators")
VALIDATORS: constant(bytes32) = keccak256("VaultValidators(bytes32 validatorsRegistryRoot,bytes validators)")

# EIP-7002 and EIP-7251.
WITHDRAWALS: constant(address) = 0x00000961Ef480Eb55e80D19ad83579A64c007002
CONSOLIDATIONS: constant(address) = 0x0000BBdDc7CE488642fb579F8B00f3a590007251

OWNER: immutable(address)
KEEPER: immutable(Keeper)
DEPOSIT_CONTRACT: immutable(DepositContract)
MEV_ESCROW: immutable(address)

validatorsManager: public(address)
validatorsManagerNonce: public(uint256)
v2Validators: public(HashMap[bytes32, bool])
totalShares: public(uint256)
queuedShares: public(uint256)
assets: uint256


@deploy
def __init__(keeper: address, deposit_contract: address, mev_escrow: address):
    OWNER = msg.sender
    KEEPER = Keeper(keeper)
    DEPOSIT_CONTRACT = DepositContract(deposit_contract)
    MEV_ESCROW = mev_escrow


# Stakers deposit by sending.
@external
@payable
def __default__():
    self._check_harvested()
    shares: uint256 = msg.value
    if self.totalShares != 0:
        shares = msg.value * self.totalShares // self.assets
    self.totalShares += shares
    self.assets += msg.value


@external
@payable
def receiveFromMevEscrow():
    if msg.sender != MEV_ESCROW:
        raw_revert(method_id("AccessDenied()"))


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


@external
@view
def mevEscrow() -> address:
    return MEV_ESCROW


# As of the last update of the state.
@external
@view
def totalAssets() -> uint256:
    return self.assets


@external
@view
def withdrawableAssets() -> uint256:
    return self._withdrawable()


@external
@view
def isStateUpdateRequired() -> bool:
    return staticcall KEEPER.isHarvestRequired(self)


@external
def updateState(harvestParams: HarvestParams):
    delta: int256 = 0
    mev_delta: uint256 = 0
    is_harvested: bool = False
    delta, mev_delta, is_harvested = extcall KEEPER.harvest(harvestParams)
    if not is_harvested:
        return
    if mev_delta != 0:
        extcall MevEscrow(MEV_ESCROW).harvest(mev_delta)
    self.assets = convert(convert(self.assets, int256) + delta, uint256)


@external
def registerValidators(keeperParams: ApprovalParams, validatorsManagerSignature: Bytes[65]):
    extcall KEEPER.approveValidators(keeperParams)
    self._check_harvested()
    self._check_manager(
        keeperParams.validatorsRegistryRoot, keeperParams.validators, validatorsManagerSignature
    )
    self._deposit(keeperParams.validators, False)


@external
def fundValidators(validators: Bytes[MAX_VALIDATORS_BYTES], validatorsManagerSignature: Bytes[65]):
    self._check_harvested()
    self._check_nonce(validators, validatorsManagerSignature)
    self._deposit(validators, True)


@external
@payable
def withdrawValidators(validators: Bytes[MAX_VALIDATORS_BYTES], validatorsManagerSignature: Bytes[65]):
    self._check_collateralized()
    self._check_nonce(validators, validatorsManagerSignature)
    count: uint256 = self._count(validators, WITHDRAWAL_BYTES)
    fee: uint256 = self._fee(WITHDRAWALS, count)
    for i: uint256 in range(count, bound=MAX_ITEMS):
        item: Bytes[56] = slice(validators, i * WITHDRAWAL_BYTES, 56)
        raw_call(WITHDRAWALS, item, value=fee)
        log ValidatorWithdrawalSubmitted(
            publicKey=slice(item, 0, 48), amount=convert(slice(item, 48, 8), uint256) * WEI_PER_GWEI, feePaid=fee
        )
    self._give_back(msg.value - fee * count)


@external
@payable
def consolidateValidators(
    validators: Bytes[MAX_VALIDATORS_BYTES],
    validatorsManagerSignature: Bytes[65],
    oracleSignatures: Bytes[MAX_SIGNATURES_BYTES],
):
    self._check_collateralized()
    self._check_nonce(validators, validatorsManagerSignature)
    is_approved: bool = len(oracleSignatures) != 0
    if is_approved:
        extcall KEEPER.verify_consolidation(self, validators, oracleSignatures)
    count: uint256 = self._count(validators, CONSOLIDATION_BYTES)
    fee: uint256 = self._fee(CONSOLIDATIONS, count)
    for i: uint256 in range(count, bound=MAX_ITEMS):
        item: Bytes[96] = slice(validators, i * CONSOLIDATION_BYTES, 96)
        source: Bytes[48] = slice(item, 0, 48)
        target: Bytes[48] = slice(item, 48, 48)
        # To itself: it becomes a compounding one, which only oracles can tell to be the vault's.
        if is_approved:
            self.v2Validators[keccak256(target)] = True
        elif source == target or not self.v2Validators[keccak256(target)]:
            raw_revert(method_id("InvalidValidators()"))
        raw_call(CONSOLIDATIONS, item, value=fee)
        log ValidatorConsolidationSubmitted(fromPublicKey=source, toPublicKey=target, feePaid=fee)
    self._give_back(msg.value - fee * count)


@external
def setValidatorsManager(manager: address):
    self._check_owner()
    self.validatorsManager = manager
    log ValidatorsManagerUpdated(caller=msg.sender, validatorsManager=manager)


# StakeWise's takes shares of the sender here.
@external
def queue_exits(shares: uint256):
    self._check_owner()
    self.queuedShares += shares
    assert self.queuedShares <= self.totalShares, "expected no more than all shares"


@internal
def _deposit(validators: Bytes[MAX_VALIDATORS_BYTES], is_top_up: bool):
    # The length alone says what they are; where it fits both, nobody can know.
    is_v1: bool = len(validators) % V1_BYTES == 0
    is_v2: bool = len(validators) % V2_BYTES == 0
    if is_v1 == is_v2 or (is_top_up and is_v1):
        raw_revert(method_id("InvalidValidators()"))
    width: uint256 = V1_BYTES if is_v1 else V2_BYTES
    kind: bytes1 = 0x01 if is_v1 else 0x02
    credentials: Bytes[32] = concat(kind, empty(bytes11), convert(self, bytes20))
    left: uint256 = self._withdrawable()
    for i: uint256 in range(len(validators) // width, bound=MAX_ITEMS):
        begin: uint256 = i * width
        public_key: Bytes[48] = slice(validators, begin, 48)
        amount: uint256 = MIN_AMOUNT
        if is_v2:
            amount = convert(slice(validators, begin + V1_BYTES, 8), uint256) * WEI_PER_GWEI
            if not is_top_up and (amount < MIN_AMOUNT or amount > MAX_AMOUNT):
                raw_revert(method_id("InvalidAssets()"))
        if amount > left:
            raw_revert(method_id("InsufficientAssets()"))
        left -= amount
        if is_top_up:
            if not self.v2Validators[keccak256(public_key)]:
                raw_revert(method_id("InvalidValidators()"))
            log ValidatorFunded(publicKey=public_key, amount=amount)
        elif is_v2:
            self.v2Validators[keccak256(public_key)] = True
            log V2ValidatorRegistered(publicKey=public_key, amount=amount)
        else:
            log ValidatorRegistered(publicKey=public_key)
        signature: Bytes[96] = slice(validators, begin + 48, 96)
        root: bytes32 = convert(slice(validators, begin + 144, 32), bytes32)
        extcall DEPOSIT_CONTRACT.deposit(public_key, credentials, signature, root, value=amount)


# What stakers have queued to leave with is not there for validators.
@internal
@view
def _withdrawable() -> uint256:
    queued: uint256 = 0
    if self.queuedShares != 0:
        queued = self.queuedShares * self.assets // self.totalShares
    return self.balance - min(queued, self.balance)


@internal
@view
def _check_harvested():
    if staticcall KEEPER.isHarvestRequired(self):
        raw_revert(method_id("NotHarvested()"))


# Requests to the beacon chain move no assets of the vault's state, but only a vault with validators has any.
@internal
@view
def _check_collateralized():
    if not staticcall KEEPER.isCollateralized(self):
        raw_revert(method_id("NotCollateralized()"))


@internal
def _check_nonce(validators: Bytes[MAX_VALIDATORS_BYTES], signature: Bytes[65]):
    self._check_manager(convert(self.validatorsManagerNonce, bytes32), validators, signature)


# Each signature raises the nonce, that of a registration too; none is needed where the manager is the sender.
@internal
def _check_manager(root_or_nonce: bytes32, validators: Bytes[MAX_VALIDATORS_BYTES], signature: Bytes[65]):
    manager: address = self.validatorsManager
    if manager == empty(address) or len(validators) == 0:
        raw_revert(method_id("AccessDenied()"))
    if len(signature) == 0:
        if msg.sender != manager:
            raw_revert(method_id("AccessDenied()"))
        return
    message: bytes32 = keccak256(abi_encode(VALIDATORS, root_or_nonce, keccak256(validators)))
    if eip712._signer(eip712._digest(VAULT_VALIDATORS, message), signature) != manager:
        raw_revert(method_id("AccessDenied()"))
    self.validatorsManagerNonce += 1


@internal
@pure
def _count(validators: Bytes[MAX_VALIDATORS_BYTES], width: uint256) -> uint256:
    if len(validators) == 0 or len(validators) % width != 0 or len(validators) // width > MAX_ITEMS:
        raw_revert(method_id("InvalidValidators()"))
    return len(validators) // width


# Of one request, when the value of the call pays for all.
@internal
@payable
def _fee(requests: address, count: uint256) -> uint256:
    fee: uint256 = convert(raw_call(requests, b"", max_outsize=32, is_static_call=True), uint256)
    assert msg.value >= fee * count, "expected the fee of the requests in the value of the call"
    return fee


@internal
def _give_back(rest: uint256):
    if rest != 0:
        raw_call(msg.sender, b"", value=rest)


@internal
@view
def _check_owner():
    if msg.sender != OWNER:
        raw_revert(method_id("AccessDenied()"))
