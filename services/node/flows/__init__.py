"""How each kind of duty is done: fetch, agree, sign, gather, send. table.py says when.

attestations.py, votes.py   attester; which votes it may cast
aggregates.py               aggregator, with its selection proofs
blocks.py                   proposer, with its randao reveal
sync_committees.py          sync messages, and contributions with their selection proofs
preparing.py                what beacon nodes are told in each epoch
agreeing.py                 what duties begin with that nodes agree on
gathering.py                what all end with: sign, exchange partial signatures, take the cluster's
questions.py                several things that beacon nodes may not have
"""
