"""The operator's commands, from their settings to their exit codes.

command_line.py        what each is called, and its help
register.py, run.py    one batch; one after the other      manager_actions.py fund, withdraw, consolidate
rotate.py              exits for other oracles             collect.py     the shares alone, as a bundle
status.py              the journal                         deposits.py    the deposit contract's history
parts.py               what actions need, of settings         order_files.py validators and amounts of a file
executor.py            one action, from its preparation to its end
consent.py, results.py, summary.py, exit_codes.py, metrics.py: what people and programs are asked and told
"""
