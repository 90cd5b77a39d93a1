"""The sidecar: beside the nodes of clusters, it signs exits and deposits with their key shares.

app.py       wires                                  nodes.py   a node, what it signs, who signs for it
loop.py      poll, sign, post; of one relayer       keys.py    key shares in this process
sources.py   which nodes there are
"""
