"""Execution nodes over JSON-RPC: whom to believe, logs, transactions."""
