# pragma version ^0.4.0
# A deposit contract that takes every deposit and keeps no tree: its root is a chain of hashes.

event DepositEvent:
    pubkey: Bytes[48]
    withdrawal_credentials: Bytes[32]
    amount: Bytes[8]
    signature: Bytes[96]
    index: Bytes[8]

root: bytes32
count: uint256


@external
def deposit(pubkey: Bytes[48], withdrawal_credentials: Bytes[32], amount_gwei: uint256, signature: Bytes[96]):
    index: Bytes[8] = self._little_endian(self.count)
    log DepositEvent(
        pubkey=pubkey,
        withdrawal_credentials=withdrawal_credentials,
        amount=self._little_endian(amount_gwei),
        signature=signature,
        index=index,
    )
    self.root = sha256(concat(self.root, pubkey, index))
    self.count += 1


@external
def deposit_many(count: uint256):
    for i: uint256 in range(count, bound=1000):
        log DepositEvent(
            pubkey=slice(concat(empty(bytes32), convert(i, bytes32)), 16, 48),
            withdrawal_credentials=slice(concat(empty(bytes32), b""), 0, 32),
            amount=self._little_endian(1),
            signature=concat(empty(bytes32), empty(bytes32), empty(bytes32)),
            index=self._little_endian(self.count),
        )
        self.count += 1


@external
@view
def get_deposit_root() -> bytes32:
    return self.root


@external
@view
def get_deposit_count() -> Bytes[8]:
    return self._little_endian(self.count)


@internal
@pure
def _little_endian(number: uint256) -> Bytes[8]:
    rest: uint256 = number
    turned: uint256 = 0
    for i: uint256 in range(8):
        turned = (turned << 8) | (rest & 255)
        rest = rest >> 8
    return slice(convert(turned, bytes32), 24, 8)
