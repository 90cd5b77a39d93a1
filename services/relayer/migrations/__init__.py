"""How the schema came to be; run at start by store/database.py."""
