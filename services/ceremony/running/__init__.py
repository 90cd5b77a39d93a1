"""A ceremony that runs: a machine of dvtfast-dkg/1 between its peers, its records and a node's folder."""
