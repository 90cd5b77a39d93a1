"""The status page: what a relayer's people see of clusters, rounds and operators.

watched_validators.py remembers how far each validator is, advice.py says what to do, answers.py is the JSON
of both, page.py answers requests.
"""
