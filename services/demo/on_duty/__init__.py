"""`dvtfast demo --duties`: a cluster on duty, before a chain that judges it.

demo.py     all of it, in order                   nodes.py    the cluster's nodes as processes
summary.py  what came of it, and whether it is as it should be
liar.py     a node that lies                      answers.py  what chain and nodes tell
"""
