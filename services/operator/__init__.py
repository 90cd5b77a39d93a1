"""The operator service: it registers a vault's validators on chain, and does what else is done with them.

register.py     one batch, as a command            run.py      one after the other    status.py  the journal
manage.py       fund, withdraw, consolidate        managing.py what the relayer's manager signs for them
rotate.py       exits for other oracles            rotating.py one batch of them      order_files.py
doing.py        one action, from its preparation to its end    ending.py, exit_codes.py   how commands end
opening.py      the parts, made of settings        telling.py, asking.py, summary.py, metrics.py: people
preparing.py    what is registered next            batch.py    how many, with how much each
by_manager.py   the way of v4                      by_deposit_data.py                 the way of v3
beacon_view.py, beacon_rules.py: what the beacon chain would pass over     showing.py  whether it did it
chain.py        what the chain is asked            plan.py     what would be sent     sending/   how, and once
approvals.py, agreement.py, oracles.py, oracle_wire.py, rotations.py, consolidations.py: the oracles
collect.py      the shares alone, as a bundle      bundle.py   the file that is written
deposit_file.py what is wrong with deposit data
loop.py         asks an era A relayer              checks.py   what must be true of its answer
"""
