"""Everything between the code and PostgreSQL: connections, transactions, migrations, outbox,
idempotency, backup.

Promises: a result of `transact` is committed; an error says whether it may be; nothing here knows
the domain. Start reading at pool.py (`Database`), then outbox.py (how events are read without
losing one).
"""

from onhand.db.migrate import migrate
from onhand.db.pool import Database
from onhand.db.queries import queries

__all__ = ["Database", "migrate", "queries"]
