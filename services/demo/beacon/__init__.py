"""A chain that judges, as a process: `python -m dvtfast.services.demo.beacon`.

It is a beacon chain on this machine whose rules are the executable consensus specification (fulu, its minimal
or mainnet preset). It makes nothing by itself: blocks are those that validators are sent to sign and publish,
with the attestations and sync committee messages that they send. Whatever is sent the specification judges
with BLS of arkworks, so that nothing of dvtfast judges itself; the ledger keeps each verdict.

Several beacon nodes can be before one chain, each on a port of its own, and each can lag, lie or be slow.

specification.py  with a network's constants       genesis.py     the first state
chain.py          blocks, states, the head         production.py  a block to sign
judging/          what validators send: allowed or not, punishable, on record, kept until a block takes it
duties.py         who is to do what                report.py      how the chain did in the end
clock.py          the time of the chain            adversity.py   what is wrong with a node
node.py           nodes before one chain           routes/        the beacon API
encoding.py       JSON and SSZ                     process.py, app.py, settings.py  as a process
"""
