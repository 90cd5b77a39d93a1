"""The validator API: what a validator client sees of a node, which it takes for a beacon node.

The client holds this node's key shares. It signs what the cluster has agreed on; the node verifies its
partial signatures, puts them on record, and gives them to the other nodes, as if it had signed itself.

server.py    who is let in, and all routes   offers.py    what clients are to sign
keys.py      key shares in the place of keys intake.py    what they have signed
reading.py   validators and duties           clients.py   what all routes of duties share
attesting.py, proposing.py, selecting.py, contributing.py: what is asked and handed in for duties
passing.py   all else, for beacon nodes      requests.py, answers.py, errors.py: HTTP

Source: beacon API v3 and v4; charon's validator API, v1.11.
"""
