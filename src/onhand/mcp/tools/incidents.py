"""Incidents: what fails or is about to, with its evidence and what was done."""

from typing import Final
from urllib.parse import quote

from onhand.mcp import failures
from onhand.mcp.api import Api
from onhand.mcp.model import Json, Tool
from onhand.mcp.schemas import STRING, answer, choice, closed, integer, rows, text
from onhand.mcp.tools.parts import CURSOR, MOMENT, PAGE, page_of

_EVIDENCE: Final = 20
_INCIDENT: Final[Json] = {
    "incident_id": STRING, "kind": STRING, "status": STRING, "cause": answer({"what": STRING}),
    "risk_minor": {"type": "integer"}, "currency": STRING, "confidence": {"type": "number"},
    "findings": {"type": "integer"}, "opened_at": STRING,
}  # fmt: skip


async def _list(api: Api, wanted: Json) -> Json:
    filters = {name: value for name, value in wanted.items() if name not in PAGE}
    return await page_of(api, "/v1/incidents", wanted, **filters)


async def _get(api: Api, wanted: Json) -> Json:
    path = f"/v1/incidents/{quote(wanted['incident_id'], safe='')}"
    incident = await api.get(path)
    runs = await api.get(f"{path}/runs")
    most = wanted.get("evidence", _EVIDENCE)
    left_out = max(len(incident["evidence"]) - most, 0)
    return incident | {"evidence": incident["evidence"][:most], "evidence_left_out": left_out, "runs": runs["data"]}


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="list_incidents",
        title="What fails or is about to",
        description=(
            "Incidents, the most money at risk first: slow lanes, phantom stock, backlogs, oversells, silent channels"
            " and more, each for one cause. Open ones unless `status` says otherwise."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "status": choice("where it stands", "open", "dismissed", "closed", "all"),
                "kind": text("such as lane_slow or phantom_stock", most=60),
                "about": text("a node's code, a sku, a carrier or another part of what it is about"),
                "from": MOMENT | {"description": "that stood then or later, RFC 3339"},
                "to": MOMENT | {"description": "that opened before, RFC 3339"},
            }
            | PAGE
        ),
        output=answer({"data": rows(_INCIDENT), "next_cursor": CURSOR}),
        run=_list,
        say=failures.say,
    ),
    Tool(
        name="get_incident",
        title="An incident with its evidence",
        description=(
            "One incident: each finding with the numbers it rests on, the dearest first, and what playbooks did about"
            " it, step by step."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "incident_id": text("as list_incidents shows it", most=36),
                "evidence": integer(f"findings to show, {_EVIDENCE} unless said", least=1, most=1_000),
            },
            ("incident_id",),
        ),
        output=answer(
            _INCIDENT
            | {
                "evidence": rows(
                    {"subject": answer({"what": STRING}), "sentence": STRING, "numbers": {"type": "object"}}
                ),
                "evidence_left_out": {"type": "integer"},
                "runs": rows({"playbook": STRING, "status": STRING}),
            }
        ),
        run=_get,
        say=failures.say,
    ),
)
