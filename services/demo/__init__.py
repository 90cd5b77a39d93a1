"""A whole cluster on this machine: `dvtfast demo`.

cluster.py  ssv_cluster.py  make the files        processes.py  starts and stops the services
proof.py    checks the result                     summary.py    tells what came of it
app.py      the order of things
"""

from .app import run

__all__ = ["run"]
