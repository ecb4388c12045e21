"""What shipments hear of signals: of the node that they leave, and of the region that they go to.

As they are known today; what was corrected since is heard as it was corrected, as forecasts of demand do.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand.model import region_of
from onhand.flows.demand.signals import load_signals
from onhand.fulfilment.delivery.signals import AHEAD_DAYS, PAST_DAYS, with_signals
from onhand.fulfilment.tracking.forecasts import Facts


def hear(conn: Connection[TupleRow], facts: Facts, names: Sequence[str], now: datetime) -> Facts:
    """The same, with the signals of these names as numbers of the shipments. Names of which nothing is known are not
    heard."""
    if not names or not facts.keys:
        return facts
    origins = [
        (node, region_of(country, region)) for node, (country, region) in zip(facts.nodes, facts.origins, strict=True)
    ]
    destinations = [(None, region_of(to.country, to.region)) for to in facts.destinations]
    number = {place: n for n, place in enumerate(dict.fromkeys([*origins, *destinations]))}
    series = pl.DataFrame(
        {"sku": None, "category": None, "node": [node for node, _ in number], "region": [at for _, at in number]},
        schema=dict.fromkeys(("sku", "category", "node", "region"), pl.String),
    )
    places = {
        end: np.array([number[place] for place in of], np.int64)
        for end, of in (("origin", origins), ("destination", destinations))
    }
    # What has been told today counts: that is all that is known before tomorrow begins.
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    first = datetime.fromtimestamp(float(facts.shipments.start.min()) * 86_400, UTC).date() - timedelta(days=PAST_DAYS)
    signals = load_signals(
        conn, origin=tomorrow, horizon=AHEAD_DAYS, since=min(first, tomorrow - timedelta(days=1)), series=series,
        names=names,
    )  # fmt: skip
    return replace(facts, shipments=with_signals(facts.shipments, places, signals.known, signals.past))
