"""Four whole nodes in one process on virtual time; everything that happens follows from a seed.

loop.py      an event loop whose clock jumps to what comes next, and programs on it that can be killed
network.py   lines between nodes: loss, delay, doubles, partitions, and what liars do with what they send
members.py   a cluster's keys, the same each time
chain.py     a beacon chain as far as a node sees one: blocks, reorganisations, whose duty what is
world.py     what of what the cluster signed that chain takes, and what of it counts
beacon.py    one node's way to it, which lags, lies, or takes long
blocks.py    blocks to sign
disks.py     what a node has signed, which outlives its programs
liars.py     what a node that lies sends
signatures.py  all that nodes signed: nothing that is slashable, nothing that was not to be signed
storms.py    what goes wrong when, by seed
duties.py    how each duty went, and why which was missed
running.py   all of it together
sizes.py     how much there is of what must not grow
surroundings.py  what it has to itself of this process
"""
