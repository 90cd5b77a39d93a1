"""Four whole nodes in one process on virtual time; everything that happens follows from a seed.

loop.py      an event loop whose clock jumps to what comes next, and programs on it that can be killed
network.py   lines between nodes: loss, delay, doubles, partitions, and what liars do with what they send
members.py   a cluster's keys, the same each time
chain.py     a beacon chain as far as a node sees one: blocks, reorganisations, whose duty what is
beacon.py    one node's way to it, which lags, lies, or takes long
signatures.py  all that nodes signed: nothing that is slashable, nothing that was not to be signed
storms.py    what goes wrong when, by seed
running.py   all of it together, and why which duty was missed
"""
