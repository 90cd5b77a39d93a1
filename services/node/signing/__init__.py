"""What signs for a node: on record first, and nothing that the record forbids.

signer.py               a duty's whole set: looked at, put on record, signed
record.py               the record: slashing protection, and the root of every duty
duty_roots.py           the second of these
slashing_protection.py  the first
interchange.py          the file in which signers hand it over
keys.py                 what has key shares, as the signer sees it; those in the memory of this process
remote.py               those in a remote signer
remote_requests.py      what that is told of each duty
"""
