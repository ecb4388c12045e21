"""What would be: a policy tried on the past, a campaign pushed through the network. Both work in the background."""

from typing import Final, cast
from urllib.parse import quote

import msgspec

from onhand.mcp import failures
from onhand.mcp.api import Api
from onhand.mcp.model import Json, Tool
from onhand.mcp.schemas import BOOLEAN, STRING, answer, closed, integer, strings, text
from onhand.mcp.tools.parts import DAY, IDEMPOTENCY_KEY, MOMENT

# Of the result of a job, as JSON: beyond it an agent asks for the parts it wants.
_RESULT_BYTES_MAX: Final = 60_000
_ASKED: Final = answer({"job_id": STRING, "state": STRING})
_OWN: Final = ("name", "idempotency_key")


async def _simulate(api: Api, wanted: Json) -> Json:
    body = {name: value for name, value in wanted.items() if name not in _OWN}
    return await api.post(f"/v1/policies/{quote(wanted['name'], safe='')}/simulate", body)


async def _assess(api: Api, wanted: Json) -> Json:
    return await api.post("/v1/campaigns/assess", {k: v for k, v in wanted.items() if k not in _OWN})


async def _job(api: Api, wanted: Json) -> Json:
    path = f"/v1/jobs/{quote(wanted['job_id'], safe='')}"
    job = await api.get(path)
    if job["state"] != "done":
        return job
    result = await api.get(f"{path}/result", format="json")
    parts = cast("list[str] | None", wanted.get("parts"))
    shown = result if parts is None else {name: result[name] for name in parts if name in result}
    sizes = {name: len(msgspec.json.encode(value)) for name, value in result.items()}
    if sum(sizes[name] for name in shown) > _RESULT_BYTES_MAX:
        return job | {"result": None, "result_parts": sizes}
    return job | {"result": shown, "result_parts": sizes}


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="simulate_policy",
        title="Try a sourcing policy on the past",
        description=(
            "Replay the orders of a period by a version of a policy (or by `policy`: YAML that is no version yet) and"
            " by the live one: cost, splits, lateness, CO2, fill rate, each difference with a 95 % interval. Changes"
            " nothing. Answers a job_id at once: get_job has the result some minutes later."
        ),
        kind="draft",
        scopes=("config:write",),
        input=closed(
            {
                "name": text("of the policy, such as standard", most=100),
                "from": MOMENT | {"description": "beginning of the period, RFC 3339"},
                "to": MOMENT | {"description": "its end, RFC 3339"},
                "version": integer("to try; left out: the newest draft", least=1),
                "policy": text("a document to try, YAML", most=200_000),
                "against": integer("version to compare with; left out: the live one", least=1),
                "orders_max": integer("stop after so many orders", least=1, most=2_000_000),
                "pareto": BOOLEAN | {"description": "also try other prices of time and CO2"},
                "seed": integer("of chance", least=0),
                "idempotency_key": IDEMPOTENCY_KEY,
            },
            ("name", "from", "to"),
        ),
        output=_ASKED,
        run=_simulate,
        say=failures.say,
    ),
    Tool(
        name="assess_campaign",
        title="Can the network serve this campaign?",
        description=(
            "Push a promotion (items or categories, days, discount or uplift of demand) through the solver against"
            " stock, inbound and capacity: fill rate by day, what gives way first and when, what to move or buy before"
            " when, the largest uplift that can be served, better dates. Changes nothing. Answers a job_id: see"
            " get_job."
        ),
        kind="draft",
        scopes=("config:write",),
        input=closed(
            {
                "items": strings(text("a sku", most=128)) | {"maxItems": 500},
                "categories": strings(text("a category")) | {"maxItems": 50},
                "channels": strings(text("a channel", most=128)) | {"minItems": 1, "maxItems": 100},
                "from": DAY | {"description": "first day: 2026-03-14"},
                "to": DAY | {"description": "last day"},
                "discount": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 0.9,
                    "description": "0.25: a quarter off",
                },
                "uplift": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 50,
                    "description": "1.5: 2.5 times as much",
                },
                "policy": text("that decides, standard unless said", most=100),
                "paths": integer("of demand that are drawn, 500 unless said", least=20, most=5_000),
                "seed": integer("of chance", least=0),
                "idempotency_key": IDEMPOTENCY_KEY,
            },
            ("from", "to"),
        ),
        output=_ASKED,
        run=_assess,
        say=failures.say,
    ),
    Tool(
        name="get_job",
        title="How far a job is, and its result",
        description=(
            "A simulation, an assessment or another job: queued, running, done, failed or cancelled, and its result"
            " when it is done. A result too large to show comes as null with the sizes of its parts: ask for some by"
            " `parts`."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "job_id": text("as the asking tool answered", most=36),
                "parts": strings(text("a member of the result", most=100)) | {"minItems": 1, "maxItems": 50},
            },
            ("job_id",),
        ),
        output=answer(
            {
                "job_id": STRING,
                "kind": STRING,
                "state": STRING,
                "progress": {"type": "object"},
                "result": {"type": ["object", "null"]},
                "result_parts": {"type": "object"},
            },
            ("job_id", "kind", "state", "progress"),
        ),
        run=_job,
        say=failures.say,
    ),
)
