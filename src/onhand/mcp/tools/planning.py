"""Proposals: what planning recommends, approved or dismissed."""

from typing import Final
from urllib.parse import quote

from onhand.mcp import failures
from onhand.mcp.api import Api
from onhand.mcp.model import Json, Stake, Tool
from onhand.mcp.schemas import STRING, answer, choice, closed, nullable, rows, text
from onhand.mcp.tools.parts import CURSOR, PAGE, page_of

_ID: Final = text("as list_proposals shows it", most=36)
_PROPOSAL: Final[Json] = {
    "proposal_id": STRING, "kind": STRING, "status": STRING, "sku": STRING, "node": STRING,
    "quantity": {"type": "integer"}, "cost_minor": {"type": "integer"}, "currency": nullable(STRING),
    "explanation": STRING,
}  # fmt: skip
_VERBS: Final = {
    "transfer": "move {quantity} units between two nodes",
    "purchase": "buy {quantity} units",
    "price": "change the price of an item",
    "safety_stock": "keep {quantity} units back at a node",
}


async def _list(api: Api, wanted: Json) -> Json:
    filters = {name: value for name, value in wanted.items() if name not in PAGE}
    return await page_of(api, "/v1/proposals", wanted, **filters)


async def _approve(api: Api, wanted: Json) -> Json:
    return await api.post(f"{_path(wanted)}/approve")


async def _dismiss(api: Api, wanted: Json) -> Json:
    return await api.post(f"{_path(wanted)}/dismiss", {"reason": wanted.get("reason")})


async def _undo(api: Api, wanted: Json) -> Json:
    return await api.post(f"{_path(wanted)}/undo", {"reason": wanted.get("reason")})


async def _weigh_approve(api: Api, wanted: Json) -> Stake:
    found = await api.get(_path(wanted))
    return _stake(found, "approve", moves=found["status"] not in ("approved", "done"))


async def _weigh_undo(api: Api, wanted: Json) -> Stake:
    found = await api.get(_path(wanted))
    return _stake(found, "take back the approval of", moves=found["status"] in ("approved", "done"))


def _stake(found: Json, verb: str, *, moves: bool) -> Stake:
    said = _VERBS.get(found["kind"], "do what it says").format(quantity=found["quantity"])
    # A price has no cost of its own: what it may lose is not known beforehand, so a person is asked.
    amount = None if found["kind"] == "price" else found["cost_minor"]
    return Stake(
        amount_minor=amount if moves else 0,
        currency=found["currency"],
        sentence=f"{verb} the proposal {found['proposal_id']}: {said}",
        facts={name: found[name] for name in (*_PROPOSAL, "from", "supplier", "price_minor", "act_by", "effect")},
    )


async def _weigh_dismiss(api: Api, wanted: Json) -> Stake:
    found = await api.get(_path(wanted))
    # It spends nothing, and the next plan may propose the same again.
    return Stake(
        amount_minor=0,
        currency=found["currency"],
        sentence=f"dismiss the proposal {found['proposal_id']}",
        facts={name: found[name] for name in _PROPOSAL},
    )


def _path(wanted: Json) -> str:
    return f"/v1/proposals/{quote(wanted['proposal_id'], safe='')}"


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="list_proposals",
        title="What planning recommends",
        description=(
            "Proposals, newest first: transfers, purchases, prices, safety stocks, each with its cost, expected effect"
            " in money, units, service and CO2 with an interval, until when it must be acted on, and why."
            " `status: proposed` shows those that still can be decided."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "kind": choice("what to do", "transfer", "purchase", "price", "safety_stock"),
                "status": choice(
                    "where it stands", "proposed", "approved", "done", "dismissed", "superseded", "expired"
                ),
                "sku": text("the item", most=128),
                "node": text("at either end", most=128),
            }
            | PAGE
        ),
        output=answer({"data": rows(_PROPOSAL), "next_cursor": CURSOR}),
        run=_list,
        say=failures.say,
    ),
    Tool(
        name="approve_proposal",
        title="Approve a proposal",
        description=(
            "Do what a proposal says, once: a transfer leaves its node, a purchase becomes inbound supply, a safety"
            " stock holds, a price is told. Fails where what it rests on has changed (`proposal.stock_gone`,"
            " `proposal.expired`, ...)."
        ),
        kind="write",
        scopes=("plan:approve", "read"),
        input=closed({"proposal_id": _ID}, ("proposal_id",)),
        output=answer(_PROPOSAL),
        run=_approve,
        say=failures.say,
        weigh=_weigh_approve,
        destructive=True,
    ),
    Tool(
        name="dismiss_proposal",
        title="Dismiss a proposal",
        description="Say that a proposal is not to be done, and why. One that was approved cannot be dismissed.",
        kind="write",
        scopes=("plan:approve", "read"),
        input=closed({"proposal_id": _ID, "reason": text("why, for colleagues")}, ("proposal_id",)),
        output=answer(_PROPOSAL),
        run=_dismiss,
        say=failures.say,
        weigh=_weigh_dismiss,
    ),
    Tool(
        name="undo_proposal",
        title="Take back an approval",
        description=(
            "Take back what approving a proposal did, while nothing rests on it: a transfer on the day it was approved,"
            " a purchase until any of it has come, a safety stock or a price while nobody changed it since. It counts"
            " as dismissed then. Fails with `proposal.not_approved` or `proposal.too_late`."
        ),
        kind="write",
        scopes=("plan:approve", "read"),
        input=closed({"proposal_id": _ID, "reason": text("why, for colleagues")}, ("proposal_id",)),
        output=answer(_PROPOSAL),
        run=_undo,
        say=failures.say,
        weigh=_weigh_undo,
        destructive=True,
    ),
)
