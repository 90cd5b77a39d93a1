"""What charon's nodes send each other beside consensus, as bytes."""
