"""libp2p as charon speaks it: TCP, multistream-select, Noise XX, yamux, identify, ping, circuit-v2.

wire/      bytes and what they mean: varints, protobuf, peers, addresses, records, messages
layers/    the protocols as state machines, without I/O: multistream, noise, secure channels, yamux, links
swarm/     connections and streams over asyncio: dial, listen, identify, ping, gate, limits, messages
circuit/   a relay as its clients see it: look-up, reservations, circuits in both directions
relay/     a relay of our own: `dvtfast p2p-relay`
host.py    what all that lies above sees: handle, request, send, and streams

Source: the libp2p specifications (github.com/libp2p/specs), and what go-libp2p 0.48 was seen to do.
"""
