"""What else is done with validators: top-ups, withdrawals, consolidations."""
