"""Many numbers in one file: the JSON listings feed (version 2) and the report that Amazon makes of it. Pure."""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from onhand.connectors._sdk.interface import Refused
from onhand.connectors._sdk.values import Fate, Outcome, Write
from onhand.connectors._sdk.vocabulary import RequestIn

MESSAGES_MAX: Final = 10_000
CONTENT_TYPE: Final = "application/json; charset=UTF-8"
_NOT_THERE: Final = "13013"  # This SKU does not exist in the Amazon catalog; as in connector.yaml
_REPORT_BYTES_MAX: Final = 256 * 2**20

CREATE_DOCUMENT: Final = RequestIn.model_validate(
    {
        "plan": "createFeedDocument", "method": "POST", "path": "/feeds/2021-06-30/documents",
        "json": {"contentType": CONTENT_TYPE},
    }
)  # fmt: skip
CREATE: Final = RequestIn.model_validate(
    {
        "plan": "createFeed", "method": "POST", "path": "/feeds/2021-06-30/feeds",
        "json": {
            "feedType": "JSON_LISTINGS_FEED", "marketplaceIds": ["{settings.marketplace_id}"],
            "inputFeedDocumentId": "{document_id}",
        },
    }
)  # fmt: skip
GET: Final = RequestIn.model_validate({"plan": "getFeed", "path": "/feeds/2021-06-30/feeds/{feed_id}"})
GET_DOCUMENT: Final = RequestIn.model_validate(
    {"plan": "getFeedDocument", "path": "/feeds/2021-06-30/documents/{document_id}"}
)


def document(writes: Sequence[Write], *, seller_id: str, product_type: str, place: str) -> bytes:
    """A feed that sets the numbers of `writes`; message 1 is the first of them."""
    messages = [
        {
            "messageId": number, "sku": write.external_id, "operationType": "PATCH", "productType": product_type,
            "patches": [
                {
                    "op": "merge", "path": "/attributes/fulfillment_availability",
                    "value": [{"fulfillment_channel_code": write.place or place, "quantity": write.quantity}],
                }
            ],
        }
        for number, write in enumerate(writes, 1)
    ]  # fmt: skip
    header = {"sellerId": seller_id, "version": "2.0", "issueLocale": "en_US"}
    return json.dumps({"header": header, "messages": messages}, separators=(",", ":")).encode()


def unpacked(body: bytes, algorithm: str | None) -> bytes:
    """A report as it was before it was packed. Raises Refused for one that cannot be read, or is absurdly long."""
    if algorithm is None:
        return body
    try:
        unpacker = zlib.decompressobj(wbits=31)  # with the header of gzip
        plain = unpacker.decompress(body, _REPORT_BYTES_MAX)
    except (zlib.error, gzip.BadGzipFile):
        raise Refused("the feed's report cannot be unpacked", code="report") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise Refused("the feed's report is cut off, or too long", code="report")
    return plain


def failures(report: bytes) -> tuple[dict[str, Outcome], Outcome | None]:
    """What a report says of listings that were refused, by SKU; and of the whole feed, if it was. Raises Refused."""
    try:
        said = cast("dict[str, Any]", json.loads(report))
        issues = cast("list[dict[str, Any]]", said.get("issues") or [])
        summary = cast("dict[str, Any]", said.get("summary") or {})
    except (ValueError, AttributeError, RecursionError):
        raise Refused("the feed's report is not JSON", code="report") from None
    refused: dict[str, Outcome] = {}
    whole: Outcome | None = None
    for issue in issues:
        if issue.get("severity") != "ERROR":
            continue
        code = _text(issue, "code")
        fate = Fate.GONE if code == _NOT_THERE else Fate.REFUSED
        outcome = Outcome(fate=fate, code=code, message=_text(issue, "message")[:500])
        if issue.get("sku"):
            refused.setdefault(str(issue["sku"]), outcome)
        elif not summary.get("messagesAccepted"):
            whole = whole or outcome
    return refused, whole


def _text(of: Mapping[str, Any], name: str) -> str:
    return str(of.get(name) or "")
