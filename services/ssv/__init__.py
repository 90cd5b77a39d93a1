"""What is registered in SSV's contract: its events, followed on an execution node, for whoever needs them.

events.py    one event                               registry.py   what they come to, in SQLite
judging.py   which additions a node of SSV takes     following.py  from the chain to the registry
"""
