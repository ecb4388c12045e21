"""A small shop: items A to J (1 to 10), nodes N1 to N5, safety stock 2 at N5."""

import pytest


@pytest.fixture
def shop(db):
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name) SELECT n, chr(64 + n), 'item ' || n FROM generate_series(1, 10) n"
        )
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
            " safety_stock_default) SELECT n, 'N' || n, 'node ' || n, 'store', 'DE', 50, 8,"
            " 'Europe/Berlin', CASE n WHEN 5 THEN 2 ELSE 0 END FROM generate_series(1, 5) n"
        )
    return db
