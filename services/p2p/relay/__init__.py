"""A circuit-v2 relay of our own, for those who do not want one that is run by others, and for tests.

hop.py        who may be reached through it, and the circuits
app.py        the command `dvtfast p2p-relay`
"""
