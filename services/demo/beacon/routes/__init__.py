"""The beacon API of a node: what is asked for, and what is sent. Each route is a function on a thread.

call.py       a request and its answer      node.py         the node itself
chain.py      genesis, constants, forks     states.py       states, headers, blocks
validators.py duties, data, production      sending.py      what is published
control.py    the test's own                table.py        all of them, as an application
"""
