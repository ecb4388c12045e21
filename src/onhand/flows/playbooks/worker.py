"""One turn of a worker: begin what is to begin, take steps, write to customers."""

import threading
from collections.abc import Callable

from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.state import State


def work_on_playbooks(state: State, send: Callable[[], object], stop: threading.Event) -> None:
    """Do what is due, until nothing is or `stop` is set. send: hands over the messages to customers that are due."""
    begin_runs(state.db, now=state.now())
    Runner(state).work(stop)
    if not stop.is_set():
        send()
