"""The oracles: what they are asked, and what enough of them agree on."""
