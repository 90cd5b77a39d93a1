"""The chain, as all services see it: an execution node with fallbacks, contracts, logs, and IPFS.

Who uses none of it needs none of what the extra `chain` installs: import these modules only when a
node is configured.
"""
