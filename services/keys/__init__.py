"""The key shares on disk: opened fast, cached, shown, checked, written anew.

loading.py    the keystores of a node and its cluster, from files or from the key cache
shown.py      tables and JSON for people and programs
commands.py   dvtfast keys import, list, verify, export
lock.py       dvtfast cluster verify
"""
