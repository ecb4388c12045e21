"""The answer to an order, word for word: given once, and given again when the request is repeated.

Of an order that is served in full only the choices are kept, a fifth of the bytes: `[confidence, [fulfilment, ...]]`,
with each fulfilment as `[node, carrier, service, [cost terms], grams of CO2, ship by, deliver by, lines]`, moments in
Unix seconds, a line as `[line id, sku, units]`. `answer_again` words them as they were.
"""

import msgspec

from onhand.base.dates import rfc3339

_encode = msgspec.json.encode
COST = '{"shipping":%d,"handling":%d,"split":%d,"lateness":%d,"carbon":%d}'
_TERMS = "[%d,%d,%d,%d,%d]"
_Line = tuple[str, str, int]
_Fulfilment = tuple[str, str | None, str, tuple[int, int, int, int, int], int, int, int, list[_Line]]
_kept = msgspec.json.Decoder(tuple[float, list[_Fulfilment]])


def line(line_id: str, sku: str, units: int) -> str:
    """A line of a fulfilment; `line_id` and `sku` are JSON already."""
    return f'{{"line_id":{line_id},"sku":{sku},"quantity":{units}}}'


def fulfilment(
    order_id: str, number: int, node: str, carrier: str, service: str, lines: str, cost: str, cost_minor: int,
    grams: int, ship_by: int, deliver_by: int,
) -> str:  # fmt: skip
    """A fulfilment; names, lines and cost are JSON already."""
    return (
        f'{{"fulfilment_id":"{order_id}-f{number}","node":{node},"carrier":{carrier},"service":{service},'
        f'"lines":[{lines}],"cost":{cost},"cost_minor":{cost_minor},"co2_g":{grams},'
        f'"ship_by":"{rfc3339(ship_by)}","deliver_by":"{rfc3339(deliver_by)}"}}'
    )


def promise(deliver_by: int, confidence: str) -> str:
    return f'{{"deliver_by":"{rfc3339(deliver_by)}","confidence":{confidence}}}'


def answer(order_id: str, status: str, queue: str, promised: str, fulfilments: str, waiting: str) -> str:
    """The whole; all but id and status are JSON already."""
    return (
        f'{{"order_id":"{order_id}","status":"{status}","queue":{queue},"promise":{promised},'
        f'"fulfilments":[{fulfilments}],"waiting":[{waiting}],"plan_id":"{order_id}-p1"}}'
    )


def keep_fulfilment(
    node: str, carrier: str, service: str, terms: tuple[int, ...], grams: int, ship_by: int, deliver_by: int, lines: str
) -> str:
    """What is kept of a fulfilment."""
    return f"[{node},{carrier},{service},{_TERMS % terms},{grams},{ship_by},{deliver_by},[{lines}]]"


def keep(confidence: str, fulfilments: str) -> str:
    """What is kept of the answer to an order that is served in full; `fulfilments` are kept ones."""
    return f"[{confidence},[{fulfilments}]]"


def answer_again(order_id: str, kept: str) -> str:
    """The answer, from what the first plan of an order keeps of it."""
    if not kept.startswith("["):
        return kept
    confidence, made = _kept.decode(kept)
    fulfilments = [
        fulfilment(
            order_id, number, _quoted(node), _quoted(carrier), _quoted(service),
            ",".join([line(_quoted(line_id), _quoted(sku), units) for line_id, sku, units in lines]),
            COST % terms, sum(terms), grams, ship_by, deliver_by,
        )
        for number, (node, carrier, service, terms, grams, ship_by, deliver_by, lines) in enumerate(made, 1)
    ]  # fmt: skip
    promised = promise(max(f[6] for f in made), f"{confidence:.4g}")
    return answer(order_id, "sourced", "null", promised, ",".join(fulfilments), "")


def _quoted(text: str | None) -> str:
    return _encode(text).decode()
