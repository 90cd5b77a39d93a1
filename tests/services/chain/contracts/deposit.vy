# pragma version ^0.4.0
# A deposit contract that takes every deposit of any amount, for nothing, into the tree of the real one.
# Source: consensus-specs, solidity_deposit_contract.

event DepositEvent:
    pubkey: Bytes[48]
    withdrawal_credentials: Bytes[32]
    amount: Bytes[8]
    signature: Bytes[96]
    index: Bytes[8]

TREE_DEPTH: constant(uint256) = 32

branch: bytes32[TREE_DEPTH]
zero_hashes: bytes32[TREE_DEPTH]
count: uint256


@deploy
def __init__():
    for height: uint256 in range(TREE_DEPTH - 1):
        self.zero_hashes[height + 1] = sha256(concat(self.zero_hashes[height], self.zero_hashes[height]))


@external
def deposit(pubkey: Bytes[48], withdrawal_credentials: Bytes[32], amount_gwei: uint256, signature: Bytes[96]):
    self._deposit(pubkey, withdrawal_credentials, self._little_endian(amount_gwei), signature)


@external
def deposit_many(count: uint256):
    credentials: Bytes[32] = slice(concat(empty(bytes32), b""), 0, 32)
    signature: Bytes[96] = concat(empty(bytes32), empty(bytes32), empty(bytes32))
    for i: uint256 in range(count, bound=1000):
        pubkey: Bytes[48] = slice(concat(empty(bytes32), convert(i, bytes32)), 16, 48)
        self._deposit(pubkey, credentials, self._little_endian(1), signature)


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


@internal
def _deposit(
    pubkey: Bytes[48], withdrawal_credentials: Bytes[32], amount: Bytes[8], signature: Bytes[96]
):
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
        rest = rest >> 8
    return slice(convert(turned, bytes32), 24, 8)
