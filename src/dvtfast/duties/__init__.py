"""What a validator signs: containers with their bytes, JSON, roots and domains. No I/O, no clock.

forks.py             which container is what in each fork: a new fork is a row
attestations.py, blocks.py, payloads.py, sync_committees.py, validator_messages.py
                     the containers
presets.py           their sizes on a chain
codecs.py            values to SSZ, JSON and roots, and back; ssz.py, bits.py: how each kind is written
fork_schedule.py     fork versions in time, and domains; duty_types.py: duties by charon's numbers
signed_sets.py       signing roots of all validators of a duty in one call
signables.py         what a validator makes of what was agreed on
aggregators.py       who is to aggregate
wrappers.py          what charon's nodes send each other; message_sizes.py: how large it may be
slashing.py          what must never be signed (EIP-3076)
"""
