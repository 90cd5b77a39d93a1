"""Whose key is whose: clusters of files, and clusters that their nodes announce."""
