"""Long work in the background: what was asked for, how far it is, what came of it.

Owns the tables `job` and `job_schedule`. Promises that a job is worked on by one process at a time, that the job of a
process that died is taken up again, that a cancelled one writes no result, and that what is scheduled is asked for once
a day. Start reading at store.py; worker.py runs jobs, schedules.py asks for them.
"""
