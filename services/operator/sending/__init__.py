"""How the operator's transactions get into the chain, each once, whatever happens meanwhile.

action.py      what is to be done           wallet.py     who signs           fees.py   what it may cost
estimator.py   what it would cost now       policy.py     how it is sent      sender.py begins, and goes on
tracker.py     until it is concluded        inclusion.py  what nodes see      finality.py  what is final
journal.py     what was decided, on disk before it is done; its journal_tables.py and journal_rows.py
"""
