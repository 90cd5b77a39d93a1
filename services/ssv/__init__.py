"""What is registered in SSV's contract: its events, followed on an execution node, for whoever needs them.

events.py    one event                               registry.py   what they come to, in SQLite
additions.py which a node of SSV takes               follower.py   from the chain to the registry
"""
