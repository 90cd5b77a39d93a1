"""The database itself: SQLite and PostgreSQL behind one interface."""
