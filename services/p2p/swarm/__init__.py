"""A swarm, as libp2p calls it: all connections of a host, over asyncio, and the streams on them.

A thin layer around the state machines of `layers/`.
"""
