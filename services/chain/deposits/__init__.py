"""The deposit contract's history: which validators it has made, and so which index the next one gets.

validity.py       which deposits make a validator   ledger.py        what is known of final blocks, in SQLite
contract_tree.py  the contract's root over all      completeness.py  proves that no deposit is missing
reading.py        the contract read on, by looks    scan.py          all of them, into the ledger
dump.py           StakeWise's dump of the first

A deposit for a known key is a top-up, whatever its signature. A new key becomes a validator with its first
deposit whose signature is valid, which may follow invalid ones; amount and withdrawal credentials do not
matter. Validators are numbered in the order of these deposits.

Source: consensus-specs electra, `process_pending_deposits` and `apply_pending_deposit`.
"""
