"""Work on jobs, one at a time, each in a process of its own: a simulation keeps a processor busy for minutes, and this
process may be answering requests.

The child does the work and writes how far it is and what came of it; the parent holds the lease and ends the child when
the job is cancelled or the worker stops.
"""

import multiprocessing
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from multiprocessing.process import BaseProcess
from typing import Any, Final

import structlog

from onhand.db import Database
from onhand.errors import OnhandError
from onhand.jobs import store
from onhand.jobs.store import Taken

log = structlog.get_logger(__name__)

Progress = Callable[[str, int, int], None]
Work = Callable[[Database, dict[str, Any], Progress], dict[str, Any]]
"""Does a request; answers its result as JSON values. Told to report what it does, and how much of how much is done."""

_LEASE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.5
_ATTEMPTS_MAX: Final = 3
# Each report is a transaction.
_PROGRESS_STEPS: Final = 50


def run_next(db: Database, works: Mapping[str, str], stop: threading.Event, *, lease_s: float = _LEASE_S) -> bool:
    """Take the oldest job that is due and work on it until it has ended or `stop` is set; whether there was one.

    works  kind -> "module:function" of its Work
    """
    with db.connection() as conn:
        taken = store.take_job(conn, [*works], lease_s=lease_s)
        if taken is None:
            return False
        if taken.attempt > _ATTEMPTS_MAX:
            store.fail_job(conn, taken, "job.gave_up", f"it ended {_ATTEMPTS_MAX} workers before it was done")
            return True
    # Spawned: a fork would share this process's connections and threads.
    child = multiprocessing.get_context("spawn").Process(
        target=work, args=(db.url, works[taken.kind], asdict(taken)), name=f"onhand job {taken.job_id}", daemon=True
    )
    child.start()
    try:
        _watch(db, taken, child, stop, lease_s)
    finally:
        if child.is_alive():
            child.terminate()
        child.join()
    return True


def _watch(db: Database, taken: Taken, child: BaseProcess, stop: threading.Event, lease_s: float) -> None:
    """Hold the lease until the child has ended, or end it."""
    while True:
        child.join(_LOOK_EVERY_S)
        if not child.is_alive():
            break
        if stop.is_set():
            child.terminate()
            child.join()
            with db.connection() as conn:
                store.give_back(conn, taken)
            return
        with db.connection() as conn:
            if not store.extend_lease(conn, taken, lease_s=lease_s):
                return
    if child.exitcode:
        log.warning("the process of a job ended", job_id=taken.job_id, exit_code=child.exitcode, attempt=taken.attempt)
        with db.connection() as conn:
            if taken.attempt >= _ATTEMPTS_MAX:
                store.fail_job(conn, taken, "job.gave_up", f"its process ended with {child.exitcode}")
            else:
                # Due again at once.
                store.extend_lease(conn, taken, lease_s=-1.0)


def work(url: str, place: str, taken_fields: dict[str, Any]) -> None:
    """The child: do the work and write what came of it."""
    taken = Taken(**taken_fields)
    with Database.open(url, pool_max=2) as db:
        steps: set[tuple[str, int]] = set()

        def progress(stage: str, done: int, total: int) -> None:
            step = stage, done * _PROGRESS_STEPS // total if total else 0
            if step not in steps:
                steps.add(step)
                with db.connection() as conn:
                    store.note_progress(conn, taken, stage, done, total)

        try:
            module, _, name = place.partition(":")
            do: Work = getattr(import_module(module), name)
            result = do(db, taken.request, progress)
        except OnhandError as error:
            if error.retryable:
                raise
            with db.connection() as conn:
                store.fail_job(conn, taken, error.code, str(error))
        except Exception as error:
            log.exception("a job failed", job_id=taken.job_id, kind=taken.kind)
            with db.connection() as conn:
                store.fail_job(conn, taken, "internal", type(error).__name__)
        else:
            with db.connection() as conn:
                store.finish_job(conn, taken, result)
