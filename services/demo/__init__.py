"""A whole cluster on this machine: `dvtfast demo`.

cluster.py  ssv_cluster.py  make the files        processes.py   starts and stops the services
proof.py    checks the result                     summary.py     tells what came of it
app.py      the round up to the bundle            steps.py       times each step
on_chain.py the round up to the chain: `--chain`  chain_proof.py chain_summary.py  the same of that
on_duty/    the duties of its nodes: `--duties`   beacon/        a chain that judges them
main.py     picks one of them, and ends it well   loop_thread.py what goes on beside it
world/      a chain of our own                    oracle/        its oracles
"""
