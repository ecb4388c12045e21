"""The benchmark: every figure this project states, measured where it runs and printed as a ratio.

Owns the load generator, the server under test, the raw database it is compared with, and suites.
Promises: reference and product take turns on one PostgreSQL in one run, and what was acknowledged
is looked up in the database before a rate is believed. Start reading at `promise.py`;
`benchmarks/README.md` says what each measure means.
"""
