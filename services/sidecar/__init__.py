"""The sidecar: beside the nodes of clusters, it signs exits and deposits with their key shares.

app.py       wires                           dry_run.py   what would be signed
sidecars.py  all loops of a process          release.py   a validator bound to another vault
polling/     ask, sign, post                 metrics.py   /metrics and /healthz
signing/     allowed, on record, signed
journal/     the record, its limits, and what it forgets
nodes/       key shares in this process or in a remote signer, of Obol clusters and of SSV operators
"""
