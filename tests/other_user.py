"""As another user: files of mode 0 are closed to this thread, and to those that it starts, also of root.

Root reads everything, by two capabilities; a thread that gave them up is a user like others, for whom
what has no mode is somebody else's. They do not come back: what is to be tried runs on a thread of its own.
"""

import ctypes
import os
import threading
from contextlib import contextmanager

CAPABILITY_VERSION = 0x20080522
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inherited", ctypes.c_uint32),
    )


def as_another_user(work):
    """What `work()` returns, or raises, on a thread to which files of mode 0 are closed."""
    outcome = []

    def run():
        try:
            _give_up_overriding()
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    ((result, error),) = outcome
    if error is not None:
        raise error
    return result


@contextmanager
def closed(path):
    """Close a file or directory inside the block, as one of another user's is."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


def _give_up_overriding():
    if os.geteuid():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(CAPABILITY_VERSION, 0), (_Sets * 2)()
    assert libc.capget(ctypes.byref(header), sets) == 0, os.strerror(ctypes.get_errno())
    kept = ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
    sets[0].effective &= kept
    sets[0].permitted &= kept
    assert libc.capset(ctypes.byref(header), sets) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":  # the command of its arguments
    _give_up_overriding()
    from dvtfast.services.__main__ import main

    main()
