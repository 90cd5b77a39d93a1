# pragma version ^0.4.3
# Typed data and who signed it, as OpenZeppelin's EIP712 and ECDSA see it.

DOMAIN: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
VERSION: constant(bytes32) = keccak256("1")
# secp256k1: s is in the lower half of the order, or the signature has a twin.
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168


@internal
@view
def _digest(name: bytes32, message: bytes32) -> bytes32:
    domain: bytes32 = keccak256(abi_encode(DOMAIN, name, VERSION, chain.id, self))
    return keccak256(concat(b"\x19\x01", domain, message))


# The zero address for what is no signature.
@internal
@pure
def _signer(digest: bytes32, signature: Bytes[65]) -> address:
    if len(signature) != 65:
        return empty(address)
    r: bytes32 = extract32(signature, 0)
    s: bytes32 = extract32(signature, 32)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if convert(s, uint256) > HALF_ORDER or (v != 27 and v != 28):
        return empty(address)
    return ecrecover(digest, v, r, s)
