# pragma version ^0.4.3
# Where block proposers' tips wait for the vaults that share it.

interface Keeper:
    def is_vault(vault: address) -> bool: view

interface Vault:
    def receiveFromMevEscrow(): payable

KEEPER: immutable(Keeper)


@deploy
def __init__(keeper: address):
    KEEPER = Keeper(keeper)


@external
@payable
def __default__():
    pass


@external
def harvest(assets: uint256):
    if not staticcall KEEPER.is_vault(msg.sender):
        raw_revert(method_id("HarvestFailed()"))
    extcall Vault(msg.sender).receiveFromMevEscrow(value=assets)
