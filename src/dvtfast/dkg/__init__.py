"""Distributed key generation: keys that nobody ever holds whole. No I/O, no clock.

polynomials.py         secret polynomials, commitments to them, shares, and what is checked of each
proof_of_knowledge.py  proof that a dealer knows the constant terms it committed to
outputs.py             what a state machine asks of its driver
dvtfast_dkg/           the protocol dvtfast-dkg/1 of nodes of ours, for thousands of validators at once
frost/                 charon's FROST, for clusters with charons
"""
