"""HTTP, both ways: what every server of ours has, and all that goes out."""
