"""One ledger of stock and one decision engine for merchants who sell the same stock in many places.

    from onhand import App, Settings

    with App.open(Settings.load()) as app:
        ...

    plans = onhand.source(orders, network)          # the same decisions, without a server
    demand = onhand.forecast(history, horizon=28, freq="D")
    (faster,) = onhand.simulate(orders, network, policies=["margin", "speed"])
    plan = onhand.rebalance(demand_quantiles, stock, lanes)

`App` is a running process: database, memory and the hot path. The HTTP interface is `onhand.api.app.create_api(app)`;
the command line is `onhand`. Names that are not listed here may change without notice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onhand.app import App
    from onhand.errors import Conflict, FieldError, InvalidInput, NotFound, OnhandError, Overloaded
    from onhand.library.batch import source_batch
    from onhand.library.delivery import DeliveryModel, delivery_model
    from onhand.library.forecast import forecast, forecast_files
    from onhand.library.network import Network
    from onhand.library.plan import JointPlan, Plan, PlannedFulfilment, Substitution
    from onhand.library.rebalance import Rebalancing, rebalance
    from onhand.library.safety_stock import safety_stock
    from onhand.library.simulate import simulate
    from onhand.library.source import source
    from onhand.settings import Settings
    from onhand.simulation.compare import Comparison
    from onhand.sourcing.policy import Objective, Policy
    from onhand.sourcing.term_batch import TermBatch

# The solver alone takes half a second to import: `onhand --help` need not wait for it.
_HOMES = {
    "App": "onhand.app",
    "Comparison": "onhand.simulation.compare",
    "DeliveryModel": "onhand.library.delivery",
    "Settings": "onhand.settings",
    "JointPlan": "onhand.library.plan",
    "Network": "onhand.library.network",
    "Objective": "onhand.sourcing.policy",
    "Plan": "onhand.library.plan",
    "PlannedFulfilment": "onhand.library.plan",
    "Substitution": "onhand.library.plan",
    "Policy": "onhand.sourcing.policy",
    "Rebalancing": "onhand.library.rebalance",
    "TermBatch": "onhand.sourcing.term_batch",
    "delivery_model": "onhand.library.delivery",
    "forecast": "onhand.library.forecast",
    "forecast_files": "onhand.library.forecast",
    "rebalance": "onhand.library.rebalance",
    "safety_stock": "onhand.library.safety_stock",
    "simulate": "onhand.library.simulate",
    "source": "onhand.library.source",
    "source_batch": "onhand.library.batch",
    **dict.fromkeys(
        ("Conflict", "FieldError", "InvalidInput", "NotFound", "OnhandError", "Overloaded"), "onhand.errors"
    ),
}

__all__ = [
    "App",
    "Comparison",
    "Conflict",
    "DeliveryModel",
    "FieldError",
    "InvalidInput",
    "JointPlan",
    "Network",
    "NotFound",
    "Objective",
    "OnhandError",
    "Overloaded",
    "Plan",
    "PlannedFulfilment",
    "Policy",
    "Rebalancing",
    "Settings",
    "Substitution",
    "TermBatch",
    "delivery_model",
    "forecast",
    "forecast_files",
    "rebalance",
    "safety_stock",
    "simulate",
    "source",
    "source_batch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onhand' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
