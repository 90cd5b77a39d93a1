"""Beacon nodes.

client.py    validators and deposits, for the operator   head.py          the latest block
nodes.py     several nodes that are asked at once        events.py        what they tell as it happens
duties.py    what a node of a cluster asks and sends     duty_cache.py    duties until a reorganisation
duty_answers.py, chain_constants.py, answers.py          what their answers are made of
"""
