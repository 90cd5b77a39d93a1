"""From what a relayer wants to what it gets: allowed, on record, signed."""
