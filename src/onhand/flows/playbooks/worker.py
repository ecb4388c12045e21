"""One turn of a worker: begin what is to begin, take steps, write to customers."""

import threading

from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.messages import Mailer, send_messages
from onhand.flows.playbooks.run import Runner
from onhand.flows.state import State


def work_on_playbooks(state: State, mailer: Mailer | None, stop: threading.Event) -> None:
    """Do what is due, until nothing is or `stop` is set. Without a mailer messages wait."""
    begin_runs(state.db, now=state.now())
    Runner(state).work(stop)
    if mailer is not None and not stop.is_set():
        send_messages(state.db, mailer, now=state.now)
