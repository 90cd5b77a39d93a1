"""What was signed, and for whom: on record before it is signed."""
