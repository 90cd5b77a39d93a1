"""The operator service: it gets the oracle shares of a vault's new validators, and registers them on chain.

register.py     one batch, as a command            run.py      one after the other    status.py  the journal
opening.py      the parts, made of settings        telling.py, summary.py, metrics.py what people see
preparing.py    what is registered next            batch.py    how many, with how much each
by_manager.py   the way of v4                      by_deposit_data.py                 the way of v3
plan.py         what would be sent                 sending/    how it is sent, once
approvals.py, agreement.py, oracles.py, oracle_wire.py, rotations.py, consolidations.py: the oracles
collect.py      the shares alone, as a bundle      bundle.py   the file that is written
loop.py         asks an era A relayer              checks.py   what must be true of its answer
exit_codes.py   how commands end
"""
