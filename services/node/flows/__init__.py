"""How each kind of duty is done, one module for each: fetch, agree, sign, gather, send.

gathering.py     what all of them end with: sign, exchange partial signatures, take the cluster's as they come
attestations.py  attester and aggregator
blocks.py        proposer, with its randao reveal
sync_committees.py  sync messages and contributions
"""
