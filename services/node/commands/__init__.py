"""`dvtfast node`, and what was signed as a file: the command line, settings made into a node."""
