"""The sidecar: beside the nodes of clusters, it signs exits and deposits with their key shares.

app.py        wires                                 nodes.py    a node, what it signs, who signs for it
sidecars.py   all loops of a process                sources.py  which nodes there are
loop.py       one relayer and one node              keys.py     key shares in this process
polling.py    ask, sign, post                       remote.py   key shares in a remote signer
polls.py      what is asked: exits, deposits        reloading.py  keys read anew
signing.py    allowed, on record, signed            metrics.py  /metrics and /healthz
policy.py     which deposits are allowed            hardening.py  no core files
journal.py    the record                            plan.py     what would be signed
"""
