"""One node of a charon key generation: FROST in charon's messages, with the checks that it leaves out.

`ceremony` is the whole order of it; below are `steps` (who is how far), `broadcast` (the same to everybody),
`keygen` and `proof_of_knowledge` (the mathematics), `casts` and `messages` (the wire), `partials`
(signatures by shares).
"""
