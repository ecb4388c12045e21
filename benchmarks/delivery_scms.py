"""Predict which international shipments are late, before they are due, against one chance for all.

    python benchmarks/delivery_scms.py --data DIR --origin 2013-01-01 --json

DIR has deliveries.parquet, as the public data set of the Supply Chain Management System has them; lines of one ASN/DN #
are one shipment. It is taken to be ordered when the purchase order was sent; what comes from a regional warehouse has
no such date, and counts from ORDER_DAYS before it is due. A shipment is asked about ASKED_DAYS before it is due (or
when it is ordered, or at the origin, if that is later) if it is not there by then, and answered by a model of all that
was known by then; it is learned at the origin and again every --refit-days (7; 0: at the origin only). Weight, freight
and insurance are left out: they are known when it is shipped.

The keys are those of delivery_olist.py; late is delivered after the scheduled date.
"""

import sys
from datetime import datetime
from pathlib import Path

import polars as pl
from delivering import main

ORDER_DAYS = 180
ASKED_DAYS = 30
KINDS = {
    "country": "Country", "via": "Fulfill Via", "mode": "Shipment Mode", "term": "Vendor INCO Term", "vendor": "Vendor",
    "site": "Manufacturing Site", "project": "Project Code", "managed_by": "Managed By", "group": "Product Group",
    "part": "Sub Classification", "form": "Dosage Form",
}  # fmt: skip


def load(folder: Path, origin: datetime) -> pl.DataFrame:
    """Shipments, with what was known of them when they were ordered. They have no coordinates: countries are kinds."""
    folder = folder / "scms" if (folder / "scms").is_dir() else folder
    path = folder / "deliveries.parquet"
    if not path.exists():
        raise FileNotFoundError(f"{folder} has no deliveries.parquet")
    lines = pl.read_parquet(path).with_columns(
        pl.col("PO Sent to Vendor Date").str.to_datetime("%m/%d/%y", strict=False).alias("sent")
    )
    shipments = lines.group_by("ASN/DN #", maintain_order=True).agg(
        *(pl.col(column).first().alias(name) for name, column in KINDS.items()),
        promised_at=pl.col("Scheduled Delivery Date").max(),
        delivered_at=pl.col("Delivered to Client Date").max(),
        sent=pl.col("sent").max(),
        lines=pl.len(),
        quantity=pl.col("Line Item Quantity").sum(),
        value=pl.col("Line Item Value").sum(),
    )
    due = pl.col("promised_at")
    nowhere = pl.lit(None, pl.Float64)
    made = shipments.with_columns(
        ordered_at=pl.coalesce("sent", due - pl.duration(days=ORDER_DAYS)),
        due_day=pl.col("promised_at").dt.day(),
        due_month=pl.col("promised_at").dt.month(),
        **dict.fromkeys(
            ("origin_latitude", "origin_longitude", "destination_latitude", "destination_longitude"), nowhere
        ),
    ).rename({"ASN/DN #": "shipment_id"})
    asked = pl.max_horizontal("ordered_at", due - pl.duration(days=ASKED_DAYS), pl.lit(origin, pl.Datetime("us")))
    return (
        made.filter(pl.col("ordered_at") <= pl.col("delivered_at"), pl.col("ordered_at") < due)
        .with_columns(predicted_at=pl.when(due >= origin, pl.col("delivered_at") > asked).then(asked))
        .drop("sent")
    )


if __name__ == "__main__":
    sys.exit(main(load, __doc__))
