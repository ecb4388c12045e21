"""The detectors, one entry each. Another one is another entry."""

from datetime import timedelta
from typing import Final

from onhand.flows.incidents import (
    autopilot,
    channels,
    demand,
    lanes,
    money,
    nodes,
    orders,
    payments,
    shipments,
    stock,
    supply,
)
from onhand.flows.incidents.scene import FACTS, Detector
from onhand.incidents.model import Kind

DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        name="stuck_orders", kinds=frozenset({Kind.ORDER_STUCK}), every=timedelta(minutes=5), look=orders.stuck,
        changed=orders.stuck_changed, patience=FACTS,
    ),
    Detector(
        name="duplicate_orders", kinds=frozenset({Kind.ORDER_DUPLICATE}), every=timedelta(minutes=10),
        look=orders.duplicates, changed=orders.duplicates_changed, patience=FACTS,
    ),
    Detector(
        name="oversells", kinds=frozenset({Kind.OVERSELL}), every=timedelta(minutes=2), look=stock.oversells,
        changed=stock.oversells_changed, patience=FACTS,
    ),
    Detector(
        name="phantom_stock", kinds=frozenset({Kind.PHANTOM_STOCK}), every=timedelta(hours=1), look=stock.phantoms,
        changed=stock.phantoms_changed, patience=FACTS,
    ),
    Detector(
        name="silent_channels", kinds=frozenset({Kind.CHANNEL_SILENT}), every=timedelta(minutes=2),
        look=channels.silent, patience=FACTS,
    ),
    Detector(
        name="channel_faults", kinds=frozenset({Kind.CHANNEL_DRIFT, Kind.CHANNEL_REFUSING}),
        every=timedelta(minutes=2), look=channels.faults,
    ),
    Detector(
        name="gate_breaches", kinds=frozenset({Kind.GATE_BREACH}), every=timedelta(minutes=30),
        look=channels.breaches,
    ),
    Detector(
        name="slow_lanes", kinds=frozenset({Kind.LANE_SLOW}), every=timedelta(minutes=30), look=lanes.slow,
    ),
    Detector(
        name="late_shipments", kinds=frozenset({Kind.SHIPMENT_LATE}), every=timedelta(minutes=5), look=shipments.late,
    ),
    Detector(
        name="capacity_breaches", kinds=frozenset({Kind.CAPACITY_BREACH}), every=timedelta(minutes=30),
        look=nodes.breaches,
    ),
    Detector(
        name="demand_spikes", kinds=frozenset({Kind.DEMAND_SPIKE}), every=timedelta(minutes=2), look=demand.spikes,
    ),
    Detector(
        name="forecast_drifts", kinds=frozenset({Kind.FORECAST_DRIFT}), every=timedelta(hours=6), look=demand.drifts,
    ),
    Detector(
        name="late_inbound", kinds=frozenset({Kind.INBOUND_LATE, Kind.INBOUND_SHORT}), every=timedelta(hours=1),
        look=supply.late,
    ),
    Detector(
        name="low_margins", kinds=frozenset({Kind.MARGIN_BREACH}), every=timedelta(hours=1), look=money.margins,
        patience=money.SURE,
    ),
    Detector(
        name="returned_domains", kinds=frozenset({Kind.AUTOPILOT_OSCILLATING, Kind.AUTOPILOT_RETURNED}),
        every=timedelta(minutes=1), look=autopilot.returned, patience=FACTS,
    ),
    Detector(
        name="unbalanced_days", kinds=frozenset({Kind.PAYMENTS_UNBALANCED}), every=timedelta(minutes=5),
        look=payments.unbalanced, patience=FACTS,
    ),
    Detector(
        name="odd_prices", kinds=frozenset({Kind.PRICE_OUTLIER}), every=timedelta(minutes=15), look=money.outliers,
    ),
)  # fmt: skip
