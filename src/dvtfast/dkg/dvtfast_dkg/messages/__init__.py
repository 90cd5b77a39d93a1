"""What nodes send: statements, signed, in envelopes; how large they are, and how lost ones come again."""
