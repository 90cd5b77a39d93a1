"""Files and paths of a user's machine, looked at before they are touched."""
