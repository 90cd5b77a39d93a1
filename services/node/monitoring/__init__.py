"""What a node tells of itself: to Prometheus, to whoever asks whether it is ready, and on a page for people.

watched.py    what is told of; it fills up as the node starts
readiness.py  whether it can do its duties, by charon's numbers
outcomes.py   what came of a duty
tallies.py    how often, counted once when a duty is over
metrics.py    series under charon's names
answers.py    the JSON of the status page
overview.py   what is in it
server.py     the routes
"""
