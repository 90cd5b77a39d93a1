"""What operators do with the store: ask for validators, reserve, move and forget them."""
