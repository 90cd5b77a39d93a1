"""What the relayer follows: both chains, the file of oracles, and who still asks."""
