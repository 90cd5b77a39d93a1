"""The sidecar: beside the nodes of clusters, it signs exits and deposits with their key shares.

app.py          wires                               nodes.py      a node, what it signs, who signs for it
sidecars.py     all loops of a process              sources.py    which nodes there are
loop.py         one relayer and one node            reloading.py  their keys read anew
polling.py      ask, sign, post                     keys.py       key shares in this process
polls.py        what is asked: exits, deposits      remote.py     key shares in a remote signer
signing.py      allowed, on record, signed
policy.py       which deposits are allowed          metrics.py    /metrics and /healthz
live.py         which exits end live validators     plan.py       what would be signed
remembering.py  the same is signed once             release.py    a validator bound to another vault
journal.py      the record                          ssv.py        SSV operators, of keyshares files
admitting.py    limits, one vault for each          ssv_chain.py  SSV operators, of the chain
forgetting.py, journal_tables.py                    what it keeps, and as which tables
"""
