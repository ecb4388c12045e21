"""The event loop of threads that talk to many others: uvloop's, where it exists."""

import asyncio

try:
    # Python's own loop gives the interpreter to another thread several times per request, once for each call of the
    # operating system, and each time may wait a millisecond to have it back.
    from uvloop import run as run_loop
except ImportError:  # it does not exist for Windows
    run_loop = asyncio.run

__all__ = ["run_loop"]
