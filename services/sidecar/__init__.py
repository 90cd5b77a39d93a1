"""The sidecar: beside one node of a cluster, it signs exits with the node's key shares.

app.py   wires      keys.py   which key share is for which validator      loop.py   poll, sign, post
"""
