"""QBFT as charon's clusters speak it: how nodes agree on what a duty signs. See docs/consensus.md.

`machine` is one node's part in one duty: messages and rings of its timer in, messages and the decision out.
Below are `justification` (what may be said when), `held` (what others said), `quorums` and `messages`; beside
it `timing` (when rounds end) and `wire` (bytes, hashes, signatures).

Source: H. Moniz, "The Istanbul BFT Consensus Algorithm", arXiv 2002.03613.
"""
