"""Long work in the background: what was asked for, how far it is, what came of it.

Owns the table `job`. Promises that a job is worked on by one process at a time, that the job of a process that died is
taken up again, and that a cancelled one writes no result. Start reading at store.py; worker.py runs them.
"""
