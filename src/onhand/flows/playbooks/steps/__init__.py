"""What each step of a playbook does, a file for each kind. Start reading at hold.py; batch.py has what those share that
act on orders."""

from collections.abc import Mapping
from typing import Any, Final

from onhand.flows.playbooks.base import Doing
from onhand.flows.playbooks.steps.cancel_with_reason import CancelWithReason
from onhand.flows.playbooks.steps.close_listing import CloseListing
from onhand.flows.playbooks.steps.expedite_inbound import ExpediteInbound
from onhand.flows.playbooks.steps.hold import Hold
from onhand.flows.playbooks.steps.notify_customer import NotifyCustomer
from onhand.flows.playbooks.steps.open_ticket import OpenTicket
from onhand.flows.playbooks.steps.quarantine_stock import QuarantineStock
from onhand.flows.playbooks.steps.raise_gate import RaiseGate
from onhand.flows.playbooks.steps.re_promise import RePromise
from onhand.flows.playbooks.steps.release import Release
from onhand.flows.playbooks.steps.request_count import RequestCount
from onhand.flows.playbooks.steps.reroute import Reroute
from onhand.flows.playbooks.steps.shrink_listing import ShrinkListing
from onhand.flows.playbooks.steps.substitute import Substitute
from onhand.flows.playbooks.steps.throttle_price import ThrottlePrice
from onhand.flows.playbooks.steps.transfer import Transfer

DOING: Final[Mapping[str, Doing[Any]]] = {
    "reroute": Reroute(),
    "re_promise": RePromise(),
    "notify_customer": NotifyCustomer(),
    "hold": Hold(),
    "release": Release(),
    "substitute": Substitute(),
    "cancel_with_reason": CancelWithReason(),
    "throttle_price": ThrottlePrice(),
    "shrink_listing": ShrinkListing(),
    "close_listing": CloseListing(),
    "request_count": RequestCount(),
    "quarantine_stock": QuarantineStock(),
    "transfer": Transfer(),
    "expedite_inbound": ExpediteInbound(),
    "raise_gate": RaiseGate(),
    "open_ticket": OpenTicket(),
}
