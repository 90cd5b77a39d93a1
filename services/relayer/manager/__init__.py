"""The validators manager: signs what a vault does with its validators, within limits, and on record.

signer.py decides and signs, manager_policy.py says what it may sign, chain/contracts/manager_messages.py
what is signed, key.py keeps the key. Every signature is in store/manager_journal.py before anybody sees it.
"""
