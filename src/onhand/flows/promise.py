"""Promise: when could this basket arrive, from where, at what cost? Decides like an order and holds nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec
import numpy as np

from onhand.base.dates import rfc3339
from onhand.errors import FieldError
from onhand.flows.intake import World, active_channel, check_country, pickup_of, place_of, refusal
from onhand.flows.reserve import basket
from onhand.flows.state import State
from onhand.flows.wanted import item_facts
from onhand.orders.answer import cost_json
from onhand.orders.intake import PromiseIn
from onhand.orders.model import split_cost
from onhand.sourcing.policies.asking import Wanted
from onhand.sourcing.policies.facts import OrderFacts, order_facts
from onhand.sourcing.solve import Ask, Decisions, asked, decide_asked

# What a shopper may ask for, and the objective that finds it.
OPTIONS = (("cheapest", "margin"), ("fastest", "speed"), ("greenest", "sustainability"))


@dataclass(slots=True, kw_only=True)
class Question:
    """A checked request: one ask per option, and what policies can ask of each."""

    asks: list[Ask]
    options: list[str]
    wants: list[Wanted]


@dataclass(frozen=True, slots=True)
class Promised:
    """The answer, JSON text."""

    answer: str


def prepare_question(world: World, request: PromiseIn) -> Question:
    """Check a request. Raises NotKnown (which deserves a second look) or InvalidInput."""
    errors: list[FieldError] = []
    network = world.network
    channel = active_channel(network, request.channel, errors)
    demand, _, unknown = basket(world, request.lines, errors)
    check_country(request.destination, errors)
    latitude, longitude, unlocatable = place_of(request.destination)
    pickup = pickup_of(network, channel, request.method, request.pickup_node, errors)
    if unlocatable and request.method == "ship":
        errors.append(FieldError("destination", "cannot be located: send latitude and longitude, or a known country"))
    if errors or channel is None:
        raise refusal(errors, unknown)
    destination = request.destination
    ask = Ask(
        demand=demand,
        latitude=latitude,
        longitude=longitude,
        channel=channel,
        place=(destination.country, destination.region or "", destination.postal_code),
        method=request.method,
        pickup_node=pickup if request.method == "pickup" else 0,
        fulfilments_max=world.policy.fulfilments_max,
        may_dip=False,
    )
    wanted = [
        (option, objective)
        for option, objective in OPTIONS
        if request.objective is None or request.objective == objective
    ]
    facts = partial(_facts, world, request, channel.code, datetime.now(UTC))
    return Question(
        wants=[Wanted(facts, objective, version=0, is_waived=True) for _, objective in wanted],
        asks=[msgspec.structs.replace(ask, objective=world.policy.index(objective)) for _, objective in wanted],
        options=[option for option, _ in wanted],
    )


def promise(state: State, questions: Sequence[Question]) -> list[Promised | Exception]:
    """Answer questions from the snapshot: right to the moment it was last fed, and binding nobody."""
    now = state.now()
    asks = [ask for question in questions for ask in question.asks]
    with state.lock:
        network, stock, asking = state.network, state.stock(), state.asking
        network.set_clock(now)
        batch = asked(asks, network)
        if not asking.is_plain:
            wants = [want for question in questions for want in question.wants]
            batch = asking.put(batch, wants, now.astimezone(UTC).date()).asked
        decisions = decide_asked(
            batch, stock, network, asking.policy, state.catalogue.goods, now=now.timestamp(), consume=False
        )
        free = [_free(state, question.asks[0]) for question in questions]
    answers: list[Promised | Exception] = []
    row = 0
    for question, shelf in zip(questions, free, strict=True):
        options: list[str] = []
        for option in question.options:
            if decisions.count[row]:
                options.append(_option(state, decisions, row, option))
            row += 1
        skus = state.catalogue.sku_json
        missing = ",".join(
            f"{skus[item]}:{units - shelf[item]}" for item, units in question.asks[0].demand if shelf[item] < units
        )
        answers.append(Promised('{"options":[%s],"missing":{%s}}' % (",".join(options), missing)))
    return answers


def _facts(world: World, request: PromiseIn, channel: str, now: datetime) -> OrderFacts:
    """What policies can ask of a basket; its currency is not known."""
    to, catalogue = request.destination, world.catalogue
    return order_facts(
        channel=channel,
        method=request.method,
        currency="",
        placed_at=now,
        country=to.country,
        region=to.region,
        postal_code=to.postal_code,
        items=[
            item_facts(catalogue, catalogue.ids[line.sku], line.quantity, line.price_minor or 0)
            for line in request.lines
        ],
    )


def _free(state: State, ask: Ask) -> dict[int, int]:
    nodes = state.network.channel_nodes(ask.channel)
    s = state.snapshot
    return {
        item: int(np.maximum(s.available[item, nodes] - s.pending[item, nodes] - s.safety[item, nodes], 0).sum())
        for item, _ in ask.demand
    }


def _option(state: State, decisions: Decisions, row: int, option: str) -> str:
    network, skus = state.network, state.catalogue.sku_json
    lines: dict[int, list[str]] = {}
    for p in range(decisions.pick_first[row], decisions.pick_first[row + 1]):
        item = int(decisions.demand_item[decisions.pick_demand[p]])
        lines.setdefault(int(decisions.pick_number[p]), []).append(
            '{"sku":%s,"quantity":%d}' % (skus[item], decisions.pick_units[p])
        )
    parts: list[str] = []
    first, last = decisions.fulfilment_first[row : row + 2].tolist()
    total = grams = latest = 0
    for number, f in enumerate(range(first, last), 1):
        terms: list[int] = np.rint(decisions.terms[f]).astype(int).tolist()
        total += sum(terms)
        grams += round(float(decisions.grams[f]))
        latest = max(latest, int(decisions.deliver[f]))
        service = int(decisions.service[f])
        known = network.services[service] if service >= 0 else None
        parts.append(
            '{"node":%s,"carrier":%s,"service":%s,"lines":[%s],"cost":%s,"ship_by":"%s","deliver_by":"%s"}'
            % (
                network.node_json[decisions.node[f]],
                known.carrier_json if known else "null",
                known.code_json if known else '"pickup"',
                ",".join(lines[number]),
                cost_json(*split_cost(terms, decisions.others)),
                rfc3339(int(decisions.departs[f])),
                rfc3339(int(decisions.deliver[f])),
            )
        )
    return '{"option":"%s","deliver_by":"%s","confidence":%.4g,"cost_minor":%d,"co2_g":%d,"fulfilments":[%s]}' % (
        option,
        rfc3339(latest),
        state.policy.confidence,
        total,
        grams,
        ",".join(parts),
    )
