"""Who may call the relayer, for what, and how much.

token_text.py    the text of a token              rights.py    which role may call which route
known_tokens.py  all tokens, in memory            limits.py    how much and how often
caller.py        what one caller may touch        refusals.py  the audit lines of what was refused
guard.py         stands in front of all routes    commands.py  `dvtfast relayer token`
"""
