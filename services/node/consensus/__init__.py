"""A node's part in what the cluster agrees on: `dvtfast.qbft` with network, clock and signatures."""
