"""Jobs as a worker does them, in the caller's process: another one takes seconds to start."""

from collections.abc import Collection
from importlib import import_module

from onhand.app import _WORKS
from onhand.db import Database
from onhand.jobs.store import finish_job, take_job


def work_next(db: Database, kinds: Collection[str] = tuple(_WORKS)) -> bool:
    """Do the oldest job of these kinds that is due; whether there was one."""
    with db.connection() as conn:
        taken = take_job(conn, [*kinds], lease_s=600)
    if taken is None:
        return False
    module, _, name = _WORKS[taken.kind].partition(":")
    result = getattr(import_module(module), name)(db, taken.request, lambda *_: None)
    with db.connection() as conn:
        finish_job(conn, taken, result)
    return True
