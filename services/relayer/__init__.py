"""The relayer: collects partial exit signatures, recovers exits, shares them out to the oracles.

app.py wires, routes.py translates, store/ remembers, judging/ works through what is due, listing.py keeps
the answer that everybody polls, clusters/ knows whose key is whose, watches/ look at both chains and at
the oracles. api.py is the table of all routes, access/ who may call them; status/ is the page for people,
metrics.py for Prometheus, health.py for who starts it; database_commands.py is for who looks after it.
"""
