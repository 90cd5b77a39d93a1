"""IPFS, through gateways that need not be trusted."""
