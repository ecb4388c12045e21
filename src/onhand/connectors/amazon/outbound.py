"""Amazon's warehouses ship our orders (multi-channel fulfilment, 2020-07-01). Pure: what to ask, what was said."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from onhand.connectors._sdk.moments import moment_of
from onhand.connectors._sdk.values import Fulfilment, Shipment, ShipmentStatus, ShippedLine
from onhand.connectors._sdk.vocabulary import RequestIn

_PATH: Final = "/fba/outbound/2020-07-01/fulfillmentOrders"
CREATE: Final = RequestIn.model_validate(
    {"plan": "createFulfillmentOrder", "method": "POST", "path": _PATH, "json": "{order}"}
)
GET: Final = RequestIn.model_validate({"plan": "getFulfillmentOrder", "path": f"{_PATH}/{{id}}"})
LIST: Final = RequestIn.model_validate(
    {
        "plan": "listAllFulfillmentOrders", "path": _PATH,
        "query": {"queryStartDate": "{since:rfc3339}", "nextToken": "{after}"},
    }
)  # fmt: skip
CANCEL: Final = RequestIn.model_validate(
    {"plan": "cancelFulfillmentOrder", "method": "PUT", "path": f"{_PATH}/{{id}}/cancel"}
)

ID_MAX: Final = 40
_SPEEDS: Final = {"standard": "Standard", "expedited": "Expedited", "priority": "Priority"}
_STATUSES: Final[Mapping[str, ShipmentStatus]] = {
    "New": "accepted",
    "Received": "accepted",
    "Planning": "accepted",
    "Processing": "accepted",
    "Complete": "shipped",
    "CompletePartialled": "shipped",
    "Cancelled": "cancelled",
    "Unfulfillable": "refused",
    "Invalid": "refused",
}
_ENDED: Final = frozenset({"Complete", "CompletePartialled", "Cancelled", "Unfulfillable", "Invalid"})


def order_of(fulfilment: Fulfilment, *, marketplace_id: str) -> dict[str, Any]:
    """A fulfilment as Amazon wants it. A missing line ships nothing: what cannot be sent in full is refused, and we
    source it again."""
    to = fulfilment.destination
    address: dict[str, Any] = {
        "name": to.name or "-", "addressLine1": to.street or "-", "city": to.city, "stateOrRegion": to.region,
        "postalCode": to.postal_code, "countryCode": to.country, "phone": to.phone or fulfilment.phone,
    }  # fmt: skip
    order: dict[str, Any] = {
        "marketplaceId": marketplace_id,
        "sellerFulfillmentOrderId": fulfilment.fulfilment_id,
        "displayableOrderId": fulfilment.order_number[:ID_MAX],
        "displayableOrderDate": fulfilment.ordered_at.isoformat(),
        "displayableOrderComment": fulfilment.note[:750] or "Thank you for your order",
        "shippingSpeedCategory": _SPEEDS.get(fulfilment.service.lower(), "Standard"),
        "fulfillmentAction": "Ship",
        "fulfillmentPolicy": "FillOrKill",
        "destinationAddress": {name: value for name, value in address.items() if value},
        "items": [
            {
                "sellerSku": line.external_sku or line.sku,
                "sellerFulfillmentOrderItemId": line.line_id,
                "quantity": line.quantity,
            }
            for line in fulfilment.lines
        ],
    }
    if fulfilment.email:
        order["notificationEmails"] = [fulfilment.email]
    return order


def shipments_of(payload: Mapping[str, Any]) -> list[Shipment]:
    """What an answer of getFulfillmentOrder says: each parcel that left, or that the order is taken, refused or
    cancelled. Raises KeyError, ValueError for one that cannot be read."""
    order = cast("dict[str, Any]", payload["fulfillmentOrder"])
    word = str(order["fulfillmentOrderStatus"])
    our_id, is_ended = str(order["sellerFulfillmentOrderId"]), word in _ENDED
    at = moment_of(str(order["statusUpdatedDate"]))
    parcels = [
        (shipment, cast("list[dict[str, Any]]", shipment.get("fulfillmentShipmentPackage") or [{}]))
        for shipment in cast("list[dict[str, Any]]", payload.get("fulfillmentShipments") or [])
        if shipment.get("fulfillmentShipmentStatus") == "SHIPPED"
    ]
    left: list[Shipment] = []
    for shipment, packages in parcels:
        for package in packages:
            number = package.get("packageNumber")
            lines = _lines(shipment, number if len(packages) > 1 else None)
            left.append(
                Shipment(
                    external_id=f"{shipment['amazonShipmentId']}/{number or 1}",
                    fulfilment_id=our_id,
                    status="shipped",
                    at=moment_of(str(shipment.get("shippingDate") or order["statusUpdatedDate"])),
                    lines=lines,
                    carrier=str(package.get("carrierCode") or ""),
                    tracking=str(package.get("trackingNumber") or ""),
                    place=str(shipment.get("fulfillmentCenterId") or ""),
                    is_complete=False,
                    status_word=word,
                )
            )
    missing = _missing(cast("list[dict[str, Any]]", payload.get("fulfillmentOrderItems") or []))
    if left and not (is_ended and missing):
        if is_ended:
            left[-1] = msgspec.structs.replace(left[-1], is_complete=True)
        return left
    # What is left of an order of which a part went out is not refused as a whole.
    status: ShipmentStatus = "cancelled" if left else _STATUSES.get(word, "unknown")
    told = Shipment(
        external_id=f"{our_id}/{word}",
        fulfilment_id=our_id,
        status=status,
        at=at,
        lines=tuple(missing) if is_ended else (),
        is_complete=is_ended,
        reason=word if status in ("refused", "cancelled") else "",
        status_word=word,
    )
    return [*left, told]


def _lines(shipment: Mapping[str, Any], package: int | None) -> tuple[ShippedLine, ...]:
    items = cast("Sequence[dict[str, Any]]", shipment.get("fulfillmentShipmentItem") or [])
    return tuple(
        ShippedLine(
            sku=str(item["sellerSku"]),
            line_id=str(item["sellerFulfillmentOrderItemId"]),
            quantity=int(item["quantity"]),
        )
        for item in items
        if package is None or item.get("packageNumber") == package
    )


def _missing(items: Sequence[Mapping[str, Any]]) -> list[ShippedLine]:
    found: list[ShippedLine] = []
    for item in items:
        missing = int(item.get("cancelledQuantity") or 0) + int(item.get("unfulfillableQuantity") or 0)
        if missing:
            found.append(
                ShippedLine(
                    sku=str(item["sellerSku"]),
                    line_id=str(item["sellerFulfillmentOrderItemId"]),
                    quantity=0,
                    missing=missing,
                )
            )
    return found
