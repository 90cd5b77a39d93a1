# pragma version ^0.4.3
# Ethereum's deposit contract: the incremental Merkle tree, the event, the checks.
# Source: consensus-specs, solidity_deposit_contract.

event DepositEvent:
    pubkey: Bytes[64]
    withdrawal_credentials: Bytes[64]
    amount: Bytes[8]
    signature: Bytes[128]
    index: Bytes[8]

TREE_DEPTH: constant(uint256) = 32
MAX_DEPOSITS: constant(uint256) = 2**32 - 1
MIN_DEPOSIT: constant(uint256) = 10**18
WEI_PER_GWEI: constant(uint256) = 10**9

branch: bytes32[TREE_DEPTH]
zero_hashes: bytes32[TREE_DEPTH]
count: uint256


@deploy
def __init__():
    for height: uint256 in range(TREE_DEPTH - 1):
        self.zero_hashes[height + 1] = sha256(concat(self.zero_hashes[height], self.zero_hashes[height]))


@external
@view
def get_deposit_root() -> bytes32:
    node: bytes32 = empty(bytes32)
    size: uint256 = self.count
    for height: uint256 in range(TREE_DEPTH):
        if size & 1 == 1:
            node = sha256(concat(self.branch[height], node))
        else:
            node = sha256(concat(node, self.zero_hashes[height]))
        size >>= 1
    return sha256(concat(node, self._little_endian(self.count), empty(bytes24)))


@external
@view
def get_deposit_count() -> Bytes[8]:
    return self._little_endian(self.count)


# Longer arguments than can be right are read, so that they are refused with the reason.
@external
@payable
def deposit(
    pubkey: Bytes[64], withdrawal_credentials: Bytes[64], signature: Bytes[128], deposit_data_root: bytes32
):
    assert len(pubkey) == 48, "DepositContract: invalid pubkey length"
    assert len(withdrawal_credentials) == 32, "DepositContract: invalid withdrawal_credentials length"
    assert len(signature) == 96, "DepositContract: invalid signature length"
    assert msg.value >= MIN_DEPOSIT, "DepositContract: deposit value too low"
    assert msg.value % WEI_PER_GWEI == 0, "DepositContract: deposit value not multiple of gwei"
    assert msg.value // WEI_PER_GWEI < 2**64, "DepositContract: deposit value too high"
    amount: Bytes[8] = self._little_endian(msg.value // WEI_PER_GWEI)
    log DepositEvent(
        pubkey=pubkey,
        withdrawal_credentials=withdrawal_credentials,
        amount=amount,
        signature=signature,
        index=self._little_endian(self.count),
    )
    public_key_root: bytes32 = sha256(concat(pubkey, empty(bytes16)))
    signature_root: bytes32 = sha256(
        concat(sha256(slice(signature, 0, 64)), sha256(concat(slice(signature, 64, 32), empty(bytes32))))
    )
    node: bytes32 = sha256(
        concat(
            sha256(concat(public_key_root, withdrawal_credentials)),
            sha256(concat(amount, empty(bytes24), signature_root)),
        )
    )
    assert node == deposit_data_root, "DepositContract: reconstructed DepositData does not match supplied deposit_data_root"
    assert self.count < MAX_DEPOSITS, "DepositContract: merkle tree full"
    self.count += 1
    size: uint256 = self.count
    for height: uint256 in range(TREE_DEPTH):
        if size & 1 == 1:
            self.branch[height] = node
            return
        node = sha256(concat(self.branch[height], node))
        size >>= 1


@internal
@pure
def _little_endian(number: uint256) -> Bytes[8]:
    rest: uint256 = number
    turned: uint256 = 0
    for i: uint256 in range(8):
        turned = (turned << 8) | (rest & 255)
        rest >>= 8
    return slice(convert(turned, bytes32), 24, 8)
