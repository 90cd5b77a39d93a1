# pragma version ^0.4.3
# Proofs in OpenZeppelin's trees, as its MerkleProof verifies them.

LEAVES: constant(uint256) = 256
HASHES: constant(uint256) = 512
DEPTH: constant(uint256) = 64


@internal
@pure
def _root(proof: DynArray[bytes32, DEPTH], leaf: bytes32) -> bytes32:
    node: bytes32 = leaf
    for sibling: bytes32 in proof:
        node = self._pair(node, sibling)
    return node


# The root that leaves and proof lead to; the zero root when they do not fit together.
@internal
@pure
def _multiproof_root(
    proof: DynArray[bytes32, HASHES], flags: DynArray[bool, HASHES], leaves: DynArray[bytes32, LEAVES]
) -> bytes32:
    if len(leaves) + len(proof) != len(flags) + 1:
        return empty(bytes32)
    if len(flags) == 0:
        return leaves[0] if len(leaves) > 0 else proof[0]
    hashes: DynArray[bytes32, HASHES] = []
    leaf: uint256 = 0
    inner: uint256 = 0
    given: uint256 = 0
    for flag: bool in flags:
        nodes: bytes32[2] = empty(bytes32[2])
        for i: uint256 in range(2):
            if i == 1 and not flag:
                if given == len(proof):
                    return empty(bytes32)
                nodes[1] = proof[given]
                given += 1
            elif leaf < len(leaves):
                nodes[i] = leaves[leaf]
                leaf += 1
            else:
                if inner == len(hashes):
                    return empty(bytes32)
                nodes[i] = hashes[inner]
                inner += 1
        hashes.append(self._pair(nodes[0], nodes[1]))
    if given != len(proof):
        return empty(bytes32)
    return hashes[len(hashes) - 1]


@internal
@pure
def _pair(a: bytes32, b: bytes32) -> bytes32:
    if convert(a, uint256) < convert(b, uint256):
        return keccak256(concat(a, b))
    return keccak256(concat(b, a))
