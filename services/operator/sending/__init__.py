"""How the operator's transactions get into the chain, each once, whatever happens meanwhile.

action.py   what is to be done       wallet.py   who signs           fees.py    what it may cost
journal.py  what was decided, on disk before it is done              sender.py  signs, sends, watches
"""
