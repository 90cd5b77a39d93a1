"""How each kind of duty is done: fetch, agree, sign, gather, send. table.py says when.

attestations.py, votes.py   attester; which votes it may cast
aggregates.py               aggregator, with its selection proofs
blocks.py                   proposer, with its randao reveal
sync_committees.py          sync messages, and contributions with their selection proofs
contributions.py            which contributions are signed
preparing.py                what beacon nodes are told in each epoch
agreeing.py                 what duties begin with that nodes agree on
heads.py                    whether a block may be the head
aggregate_signatures.py     whether they are those of who is said to have signed
gathering.py                what all end with: sign, exchange partial signatures, take the cluster's
questions.py                several things that beacon nodes may not have
"""
