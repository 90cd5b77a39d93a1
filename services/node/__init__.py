"""The node of a cluster: agrees with the others on what to sign, signs its part, sends what comes of it."""
