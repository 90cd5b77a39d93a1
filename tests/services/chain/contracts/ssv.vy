# pragma version ^0.4.0
# What logs the events of SSV's network contract, whatever is in them.

struct Cluster:
    validatorCount: uint32
    networkFeeIndex: uint64
    index: uint64
    active: bool
    balance: uint256

event ValidatorAdded:
    owner: indexed(address)
    operatorIds: DynArray[uint64, 16]
    publicKey: Bytes[96]
    shares: Bytes[8192]
    cluster: Cluster

event ValidatorRemoved:
    owner: indexed(address)
    operatorIds: DynArray[uint64, 16]
    publicKey: Bytes[96]
    cluster: Cluster


@external
def add(owner: address, ids: DynArray[uint64, 16], public_key: Bytes[96], shares: Bytes[8192]):
    log ValidatorAdded(
        owner=owner, operatorIds=ids, publicKey=public_key, shares=shares, cluster=empty(Cluster)
    )


@external
def remove(owner: address, ids: DynArray[uint64, 16], public_key: Bytes[96]):
    log ValidatorRemoved(owner=owner, operatorIds=ids, publicKey=public_key, cluster=empty(Cluster))


# A log with the topic of ValidatorAdded and anything for its data.
@external
def add_raw(owner: address, data: Bytes[4096]):
    raw_log(
        [
            keccak256(
                "ValidatorAdded(address,uint64[],bytes,bytes,(uint32,uint64,uint64,bool,uint256))"
            ),
            convert(owner, bytes32),
        ],
        data,
    )


@external
def remove_raw(owner: address, data: Bytes[4096]):
    raw_log(
        [
            keccak256("ValidatorRemoved(address,uint64[],bytes,(uint32,uint64,uint64,bool,uint256))"),
            convert(owner, bytes32),
        ],
        data,
    )
