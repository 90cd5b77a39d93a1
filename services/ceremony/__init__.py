"""A cluster makes its own keys, or a dealer makes them.

staging.py     files that are put in place whole or not at all
folder.py      a node's folder, as charon has it
preflight.py   whether a folder is fit for new keys
definition.py  the cluster's definition, from a file or an address
contract_signatures.py  of accounts that are contracts
storing.py     a result on disk, told to the others, in its place
plan.py        what its keys are for: deposits, registrations, the lock
keymanager.py  keystores into a validator client
ssv_files.py   the same keys for SSV's contract
ssv_terms.py   what operators of SSV agree on
ssv_plan.py    what the keys of theirs are for
protocol.py    the native ceremony, or charon's
running/       the native one
charon_terms.py  charon's, from a definition to the node's folder
charon_node.py   one of its nodes on the network
dealing.py     one machine that knows all keys
commands/      create enr, dkg, cluster, keyshares; combine
"""
