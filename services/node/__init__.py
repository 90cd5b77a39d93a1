"""A cluster's duties: `dvtfast node`."""
