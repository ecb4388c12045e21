"""Limits of Amazon's operations, taken from the tables in the descriptions of its models, for connector.yaml.

    python -m onhand.connectors.amazon.usage_plans FOLDER_OF_MODELS

writes the block `plans` of connector.yaml anew. A test compares the two.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "orders_2026-01-01.json": ("searchOrders", "getOrder"),
    "ordersV0.json": ("confirmShipment",),
    "listingsItems_2021-08-01.json": ("patchListingsItem", "getListingsItem", "searchListingsItems"),
    "feeds_2021-06-30.json": ("createFeedDocument", "createFeed", "getFeed", "getFeedDocument"),
    "fbaInventory.json": ("getInventorySummaries",),
    "fulfillmentOutbound_2020-07-01.json": (
        "createFulfillmentOrder", "getFulfillmentOrder", "listAllFulfillmentOrders", "cancelFulfillmentOrder",
    ),
}  # fmt: skip
"""Those we ask for, by the file of their model."""

_ROW = re.compile(r"\|\s*([0-9.]+)\s*\|\s*([0-9.]+)\s*\|")


def plan_of(model: Mapping[str, Any], operation: str) -> tuple[float, int]:
    """Requests a second and burst of an operation. Raises LookupError if the model does not tell."""
    for path in cast("dict[str, dict[str, Any]]", model["paths"]).values():
        for found in path.values():
            if isinstance(found, dict):
                said = cast("dict[str, Any]", found)
                if said.get("operationId") == operation and (row := _ROW.search(said.get("description", ""))):
                    return float(row[1]), int(float(row[2]))
    raise LookupError(f"the model tells no usage plan of {operation}")


def plans(folder: Path) -> dict[str, tuple[float, int]]:
    """Plans of all operations that we ask for. Raises LookupError, FileNotFoundError."""
    found: dict[str, tuple[float, int]] = {}
    for file, operations in OPERATIONS.items():
        model = json.loads((folder / file).read_text("utf-8"))
        found |= {operation: plan_of(model, operation) for operation in operations}
    return found


def block(found: Mapping[str, tuple[float, int]]) -> str:
    """As connector.yaml says it."""
    rows = [f"  {name}: {{rate_per_s: {rate:g}, burst: {burst}}}\n" for name, (rate, burst) in found.items()]
    return "plans:\n" + "".join(rows)


def main(folder: str) -> None:
    """Write the block of the connector.yaml beside this file anew."""
    target = Path(__file__).with_name("connector.yaml")
    text = target.read_text("utf-8")
    target.write_text(re.sub(r"^plans:\n(?:  .*\n)*", block(plans(Path(folder))), text, flags=re.MULTILINE), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
