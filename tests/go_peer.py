"""The peer of go-libp2p that tests of ours meet, where somebody has built it: it needs Go."""

from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"
GO_PEER = BUILD / "go-libp2p" / "peer"
NO_GO = "the peer of go-libp2p is not there: make build/go-libp2p/peer"
