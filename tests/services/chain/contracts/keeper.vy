# pragma version ^0.4.0
# Where the oracle config is announced.

event ConfigUpdated:
    configIpfsHash: String[128]

validatorsMinOracles: public(uint256)


@external
def set_min_oracles(count: uint256):
    self.validatorsMinOracles = count


@external
def update_config(cid: String[128]):
    log ConfigUpdated(configIpfsHash=cid)
