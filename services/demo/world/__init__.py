"""A chain of our own, with contracts that check what the real ones check: the demo's and the tests' world.

contracts/  Vyper sources        compiler.py            bytecode of them     anvil.py    an EVM node here
chain.py    what is sent to it   deployed_contracts.py  the contracts there  rewards.py  what vaults earned
ipfs.py     files and a gateway  oracles.py             processes of oracles

What the contracts check, and what they leave out, is in docs/world.md.
"""
