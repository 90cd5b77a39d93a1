"""The operator service: it gets the oracle shares of a vault's new validators.

app.py     wires      loop.py    asks the relayer until every validator is ready
checks.py  what must be true of the answer     bundle.py  the file that is written
"""
