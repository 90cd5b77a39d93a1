"""What the relayer remembers. A transaction is a function that takes a connection first.

A *message* is what the nodes of a validator sign: its exit at one validator index, or its deposit of
one amount to one vault. Of each kind one is current. When another is asked for it becomes the current
one, and the earlier ones stay with all that belongs to them, since a move back must find the same
shares and since a share can be late: made for a message that was current before. Exits at the next
validator indices can be prepared: sidecars may sign them before they are current.

    message COLLECTING --> DUE          it holds enough shares
            DUE --> READY               they recover its signature; for ever
                --> COLLECTING          too few of them are good
                --> TO_SEARCH           some are bad, and only a search may tell which
                --> UNDECIDED           some are bad, and nobody can tell which
            TO_SEARCH                   goes on like DUE
            UNDECIDED --> DUE           it holds a share more, or another one

    share   STORED -- proven wrong ------------------------------> REJECTED
               '-- its message is ready, and it is right --------> VERIFIED
               '-- fits an earlier message --> STORED there
               '-- fits nothing, and nobody says that it should --> SET_ASIDE

A rejected share, or one set aside, is replaced by the next one for its index. So is any share of an
undecided message, and sidecars see none of them: each is asked for its share again. A share that comes
again unchanged after it was set aside was meant for this message: it is stored and set aside no more.

A transaction that changes a message, or its shares, gives it the next `revision`. So a reader knows
what changed since it last looked, and a verdict knows whether more arrived while it was reached.

What an operator got counts as handed out: its oracle shares never change, its validator is not
forgotten by itself, and stays reserved for its vault.

tables.py, subjects.py   what is kept             operators/   they ask, reserve, move
seals.py, sealing/       signatures at rest       nodes/       sidecars learn what to sign, hand in shares
engine/                  SQLite and PostgreSQL    judging/     what is due, what came of it, split anew
tokens.py                who may call             chain_state.py   which validators are used
manager_journal.py       what the manager signed  counts.py        how far everything is
"""
