"""Lanes that cost more than they promise become a policy's next version, in shadow, with the evidence beside it."""

from onhand.flows.lanes.propose import (
    DAYS,
    FLOOR_MINOR,
    KIND,
    ORDERS_MAX,
    WORK,
    Asked,
    ask,
    ask_scheduled,
    check_active,
    list_proposals,
    propose_lanes,
    run,
)

__all__ = [
    "DAYS",
    "FLOOR_MINOR",
    "KIND",
    "ORDERS_MAX",
    "WORK",
    "Asked",
    "ask",
    "ask_scheduled",
    "check_active",
    "list_proposals",
    "propose_lanes",
    "run",
]
