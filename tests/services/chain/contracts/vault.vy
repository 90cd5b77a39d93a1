# pragma version ^0.4.0
# The manager of a vault and its nonce.

validatorsManager: public(address)
validatorsManagerNonce: public(uint256)


@external
def set_manager(manager: address):
    self.validatorsManager = manager


@external
def use_nonce():
    self.validatorsManagerNonce += 1


@external
@view
def refuse():
    raise "never"
