"""The answer to an order, word for word: given once, and given again when the request is repeated.

Of an order that is served in full only the choices are kept, a fifth of the bytes: `[confidence, [fulfilment, ...]]`,
with each fulfilment as `[node, carrier, service, [cost terms], grams of CO2, ship by, deliver by, lines]`, moments in
Unix seconds, a line as `[line id, sku, units]`. `answer_again` words them as they were.

What the templates take is JSON already, but for order ids and moments.
"""

import msgspec

from onhand.base.dates import rfc3339

LINE = '{"line_id":%s,"sku":%s,"quantity":%s}'
COST = '{"shipping":%s,"handling":%s,"split":%s,"lateness":%s,"carbon":%s}'
FULFILMENT = (
    '{"fulfilment_id":"%s-f%s","node":%s,"carrier":%s,"service":%s,"lines":[%s],"cost":%s,"cost_minor":%s,"co2_g":%s,'
    '"ship_by":"%s","deliver_by":"%s"}'
)
PROMISE = '{"deliver_by":"%s","confidence":%s}'
ANSWER = '{"order_id":"%s","status":"%s","queue":%s,"promise":%s,"fulfilments":[%s],"waiting":[%s],"plan_id":"%s-p1"}'
# Most orders are one line from one node. Takes order id, deliver by, confidence, order id, node, carrier, service,
# line id, sku, units, cost, its sum, grams, ship by, deliver by, order id.
ANSWER_OF_ONE = ANSWER % (
    "%s",
    "sourced",
    "null",
    PROMISE,
    FULFILMENT % ("%s", 1, "%s", "%s", "%s", LINE, *["%s"] * 5),
    "",
    "%s",
)

_encode = msgspec.json.encode
_encoder = msgspec.json.Encoder()
KeptLine = tuple[str, str, int]
KeptFulfilment = tuple[str, str | None, str, tuple[int, ...], int, int, int, list[KeptLine]]
_kept = msgspec.json.Decoder(tuple[float, list[KeptFulfilment]])


def keep(choices: list[tuple[float, list[KeptFulfilment]]]) -> list[bytes]:
    """What is kept of the answers to orders that are served in full."""
    return _encoder.encode_lines(choices).split(b"\n")[:-1]


def answer_again(order_id: str, kept: str) -> str:
    """The answer, from what the first plan of an order keeps of it: that itself if it is not served in full."""
    if not kept.startswith("["):
        return kept
    confidence, made = _kept.decode(kept)
    fulfilments = [
        FULFILMENT
        % (
            order_id,
            number,
            *(_encode(name).decode() for name in names),
            ",".join(
                [LINE % (_encode(line_id).decode(), _encode(sku).decode(), units) for line_id, sku, units in lines]
            ),
            COST % terms,
            sum(terms),
            grams,
            rfc3339(ship_by),
            rfc3339(deliver_by),
        )
        for number, (*names, terms, grams, ship_by, deliver_by, lines) in enumerate(made, 1)
    ]
    promise = PROMISE % (rfc3339(max(f[6] for f in made)), f"{confidence:.4g}")
    return ANSWER % (order_id, "sourced", "null", promise, ",".join(fulfilments), "", order_id)
