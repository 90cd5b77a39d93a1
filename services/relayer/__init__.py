"""The relayer: collects partial exit signatures, recovers exits, shares them out to the oracles.

app.py wires, routes.py translates, store/ remembers, pipeline.py works through what is due,
listing.py keeps the answer that everybody polls, clusters.py knows whose key is whose. api.py is the table
of all routes; status/ is the page for people, metrics.py for Prometheus, health.py for who starts it.
"""
