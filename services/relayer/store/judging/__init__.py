"""What the judge does with the store: what is due, whose work it is, and what came of it."""
