"""What is sent to the chain, as the specification judges it, and as it is kept."""
