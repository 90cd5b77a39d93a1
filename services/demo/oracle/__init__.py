"""A small oracle, as a process: `python -m dvtfast.services.demo.oracle`.

It judges what an operator asks for as StakeWise's oracles do, independently of the operator's own code:
typed data is encoded by eth-account, proofs are verified here. Its uploads are not real; the hash that it
signs is the CID of what it would upload, so that all oracles agree.

bodies.py        what is sent to it        checks.py   shares, deposits and proofs
typed_data.py    what it signs             states.py   what the chain says
oracle.py        the verdict               app.py      routes, process
"""
