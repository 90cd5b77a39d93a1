"""A relayer is asked, for ever."""
