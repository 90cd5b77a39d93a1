"""The operator service: it registers a vault's validators on chain, and does what else is done with them.

commands/      from settings to exit codes         plan.py       what would be sent
registration/  the next batch, in both ways        chain.py      what the chain is asked
rotation/      exits for the oracles of today      progress.py   what a person sees meanwhile
managing/      fund, withdraw, consolidate         in each of these three: planner.py makes what is in plan.py
oracles/       their approvals
sending/       onto the chain, each action once
"""
