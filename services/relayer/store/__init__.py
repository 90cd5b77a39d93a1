"""What the relayer remembers. A transaction is a function that takes a connection first.

An *exit* is one validator at one validator index. A validator has one current exit; asked for at
another index it *moves*, and its earlier exits stay with all that belongs to them, since a move back
must find the same shares and since a share can be late: made for an exit that was current before.

    exit    COLLECTING --> DUE          it holds enough shares
            DUE --> READY               they recover it; for ever
                --> COLLECTING          too few of them are good
                --> TO_SEARCH           some are bad, and only a search may tell which
                --> UNDECIDED           some are bad, and nobody can tell which
            TO_SEARCH                   goes on like DUE
            UNDECIDED --> DUE           it holds a share more, or another one

    share   STORED -- proven wrong ------------------------------> REJECTED
               '-- its exit is ready, and it is right -----------> VERIFIED
               '-- fits an earlier exit --> STORED there
               '-- fits nothing, and nobody says that it should --> SET_ASIDE

A rejected share, or one set aside, is replaced by the next one for its index. So is any share of an
undecided exit, and sidecars see none of them: each is asked for its share again. A share that comes
again unchanged after it was set aside was meant for this exit: it is stored and set aside no more.

A transaction that changes an exit, or its shares, gives it the next `revision`. So a reader knows
what changed since it last looked, and a verdict knows whether more arrived while it was reached.

asking.py      an operator asks for exits      sharing.py   a sidecar hands in shares
verdicts.py    what is due, what came of it    changes.py   what sidecars see
network.py     what network all of it is for   due.py       when an exit is due
"""
