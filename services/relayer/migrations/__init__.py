"""How the schema came to be; run at start by store/engine/database.py."""
