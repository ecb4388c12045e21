"""Work that jobs of tests do, in a process of their own."""

import os
import time

from onhand.errors import InvalidInput


def double(_db, request, progress):
    for n in range(1, 5):
        progress("doubling", n, 4)
    return {"twice": 2 * request["n"]}


def refuse(_db, _request, _progress):
    raise InvalidInput.at("n", "expected another one")


def stumble(_db, _request, _progress):
    raise ZeroDivisionError


def die(_db, _request, _progress):
    os._exit(3)


def last_long(_db, request, progress):
    """Until somebody ends it; the file shows that it has begun."""
    progress("waiting", 0, 0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.05)  # a process that works, not a test that waits
    return {}
