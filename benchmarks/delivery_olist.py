"""Predict when orders of a marketplace are delivered, at purchase time, against one number for all.

    python benchmarks/delivery_olist.py --data DIR --origin 2018-01-01 --json

DIR has orders, order_items, order_payments, customers, sellers, products, geolocation .parquet, as the public Brazilian
data set by Olist has them. Orders from the origin on are predicted as they come: a model of all that was known by then,
orders still on their way among it, is learned at the origin and again every --refit-days (7; 0: at the origin only,
with nothing known of what comes later). Orders with another status than delivered are left out throughout: in samples
they are not as frequent as they were.

mae_days           mean absolute error of the median of days from purchase to delivery
mae_days_baseline  the same of one number, the median of all days known at the origin
coverage_90        share of deliveries within the quantile at 0.9
brier              mean squared error of the chance to come after the estimate
brier_base_rate    the same of one chance for all, the share that came late: the best constant in hindsight
n_train, n_test    orders delivered before the origin, and orders predicted

With --bound instead how near a forecast could come, by trees that are shown the window itself (`delivering_bound.py`):

mae_days_bound         mean absolute error of days, each order by what nine tenths of the window's other orders tell
mae_days_bound_of_day  the same, told the mean days of the other orders of its day too
"""

import sys
from datetime import datetime
from pathlib import Path

import polars as pl
from delivering import main

TABLES = ("orders", "order_items", "order_payments", "customers", "sellers", "products", "geolocation")


def load(folder: Path, origin: datetime) -> pl.DataFrame:
    """Orders that were delivered, with what was known of them when they were made."""
    folder = folder / "olist" if (folder / "olist").is_dir() else folder
    if missing := [name for name in TABLES if not (folder / f"{name}.parquet").exists()]:
        raise FileNotFoundError(f"{folder} has no {missing[0]}.parquet")
    of = {name: pl.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    place = (
        of["geolocation"]
        .group_by(zip="geolocation_zip_code_prefix")
        .agg(latitude=pl.col("geolocation_lat").median(), longitude=pl.col("geolocation_lng").median())
    )
    products = of["products"].select(
        "product_id", category="product_category_name", weight_g="product_weight_g",
        volume_cm3=pl.col("product_length_cm") * pl.col("product_height_cm") * pl.col("product_width_cm"),
    )  # fmt: skip
    items = (
        of["order_items"]
        .join(products, on="product_id", how="left")
        .sort("order_id", "order_item_id")
        .group_by("order_id")
        .agg(
            pl.col("seller_id", "category").first(), pl.col("weight_g", "volume_cm3", "price").sum(),
            freight=pl.col("freight_value").sum(), items=pl.len(),
        )
        .join(of["sellers"], on="seller_id", how="left")
    )  # fmt: skip
    paid = of["order_payments"].sort("order_id", "payment_sequential").group_by("order_id").first()
    orders = (
        of["orders"]
        .filter(pl.col("order_status") == "delivered", pl.col("order_delivered_customer_date").is_not_null())
        .join(items, on="order_id")
        .join(of["customers"], on="customer_id")
        .join(paid, on="order_id", how="left")
    )
    for end, prefix in (("origin", "seller"), ("destination", "customer")):
        there = place.rename({"latitude": f"{end}_latitude", "longitude": f"{end}_longitude"})
        orders = orders.join(there, left_on=f"{prefix}_zip_code_prefix", right_on="zip", how="left")
    ordered = pl.col("order_purchase_timestamp")
    return orders.select(
        "origin_latitude", "origin_longitude", "destination_latitude", "destination_longitude", "weight_g",
        "volume_cm3", "seller_id", "category", "price", "freight", "items", "seller_state", "customer_state",
        "payment_type",
        shipment_id="order_id", ordered_at="order_purchase_timestamp", promised_at="order_estimated_delivery_date",
        handed_over_at="order_delivered_carrier_date", delivered_at="order_delivered_customer_date",
        predicted_at=pl.when(ordered >= origin).then(ordered),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(load, __doc__, bounded=True))
