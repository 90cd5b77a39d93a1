"""What a relayer can be told, and the commands on its database and on its tokens."""
