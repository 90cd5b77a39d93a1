"""What nodes do with the store: learn what to sign, and hand in shares."""
