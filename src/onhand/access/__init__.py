"""API keys: who may call, what for, and the record of what each has done.

Owns the table `api_key`, reads `event` as the audit log. Promises: a key is stored only as its SHA-256, shown once, and
compared by that hash. Start reading at keys.py (what a key looks like, what a scope allows); store.py has the SQL.
"""

from onhand.access.keys import ANY_SCOPE, SCOPES, TOOL_SCOPES, Principal, allows, digest, is_plausible, mint, prefix
from onhand.access.store import (
    AuditRow,
    KeyRow,
    add_key,
    find_live,
    get_key,
    list_audit,
    list_keys,
    lock_admin_keys,
    revoke,
)

__all__ = [
    "ANY_SCOPE",
    "SCOPES",
    "TOOL_SCOPES",
    "AuditRow",
    "KeyRow",
    "Principal",
    "add_key",
    "allows",
    "digest",
    "find_live",
    "get_key",
    "is_plausible",
    "list_audit",
    "list_keys",
    "lock_admin_keys",
    "mint",
    "prefix",
    "revoke",
]
