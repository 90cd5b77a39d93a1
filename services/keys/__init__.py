"""The key shares on disk: opened fast, cached, shown, checked, written anew.

key_share_files.py  the keystores of a node and its cluster, from files or from the key cache
key_shares.py       which validator of a cluster each key share is of
node_keys.py        both at once
remote_signer.py    key shares that stay elsewhere
output.py           tables and JSON for people and programs
commands.py         dvtfast keys import, list, verify, export
verify_lock.py      dvtfast cluster verify
"""
