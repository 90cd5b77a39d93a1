"""The protocol dvtfast-dkg/1: keys for thousands of validators at once; its bytes: docs/dkg-protocol.md."""
