"""Examples of the interface, all of one small story: order 1001 of the web shop is placed, shipped from Berlin and
partly returned. Answers stand here by the name of their schema; bodies beside the models that read them.
"""

from typing import Any, cast

Json = dict[str, Any]

_ORDER_ID = "019cae1f-2b3f-7000-92f0-c69eacf4702a"
_FULFILMENT_ID = f"{_ORDER_ID}-f1"
_PLAN_ID = f"{_ORDER_ID}-p1"
_CUSTOMER_ID = "019cae1f-2b3f-7000-b8e1-54d52b1b6ff0"
_RESERVATION_ID = "019cae1c-7a40-7000-8c02-aa004ef31850"
_JOB_ID = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"
_WEBHOOK_ID = "019cadfe-0a08-7000-a158-1f1cbddad80b"
_EVENT_ID = "0f9c1d2e-6a0b-4c5d-9e8f-102030405060.812.40"
_MONDAY = "2026-03-02T07:30:00Z"
_PLACED = "2026-03-02T09:15:15.743898Z"
_SHIPPED = "2026-03-02T13:40:02.118204Z"
_SHIP_BY, _DELIVER_BY = "2026-03-02T16:00:00Z", "2026-03-04T16:00:00Z"


def _page(*rows: Json) -> Json:
    return {"data": list(rows), "next_cursor": None}


# Set-up -------------------------------------------------------------------------------------------

_ITEM: Json = {
    "sku": "MUG-BLUE", "name": "Enamel mug, blue", "weight_g": 340, "length_mm": 120, "width_mm": 90, "height_mm": 85,
    "unit_cost_minor": 310, "price_minor": 1250, "currency": "EUR", "category": "kitchen", "hs_code": "7323.94",
    "release_at": None, "components": [], "attributes": {}, "created_at": _MONDAY, "updated_at": _MONDAY,
}  # fmt: skip
_NODE: Json = {
    "code": "BERLIN", "name": "Berlin store", "node_type": "store", "country": "DE", "region": None,
    "postal_code": "10115", "latitude": 52.53, "longitude": 13.38, "timezone": "Europe/Berlin",
    "handling_cost_minor": 150, "handling_line_minor": 0, "handling_unit_minor": 0,
    "labour": {"minor_per_hour": 2400, "seconds_per_order": 0.0, "seconds_per_line": 40.0, "seconds_per_unit": 6.0},
    "cutoff": "15:00", "working_days": [1, 2, 3, 4, 5, 6], "closed_days": ["2026-12-24"], "holidays": "DE-BE",
    "methods": ["ship", "pickup"], "safety_stock_default": 2, "co2_g_per_order": 40, "attributes": {}, "active": True,
    "created_at": _MONDAY, "updated_at": _MONDAY, "capacity": {"orders": 120, "lines": None, "units": None},
    "docks": {"units_out": None, "units_in": 400},
}  # fmt: skip
_GROUP: Json = {"code": "EUROPE", "name": "Europe", "nodes": ["LYON", "BERLIN"], "updated_at": _MONDAY}
_CARRIER: Json = {
    "code": "POST",
    "name": "Post",
    "transit": "learned",
    "learned": [
        {
            "service": "parcel",
            "p50": 2.31,
            "p95": 4.4,
            "p50_declared": 2.0,
            "p95_declared": 3.6,
            "delivered": 812,
            "on_their_way": 64,
            "p50_factor": 1.155,
            "spread_factor": 1.096,
        },
        {
            "service": "parcel",
            "node": "BERLIN",
            "country": "DE",
            "region": "BY",
            "p50": 3.1,
            "p95": 5.2,
            "p50_declared": 2.0,
            "p95_declared": 3.0,
            "delivered": 96,
            "on_their_way": 11,
        },
    ],
    "learned_at": _MONDAY,
    "active": True,
    "updated_at": _MONDAY,
    "services": [
        {
            "code": "parcel",
            "cutoff": "17:00",
            "methods": ["ship", "ship_to_store"],
            "currency": "EUR",
            "rate_table": {
                "by": "distance_km",
                "distance_km": [100.0, 500.0, None],
                "weights_g": [1000, 5000, 30000],
                "prices_minor": [[420, 560, 990], [480, 690, 1290], [560, 890, 1790]],
            },
            "transit_days": [{"p50": 1.0, "p95": 2.0}, {"p50": 2.0, "p95": 3.0}, {"p50": 3.0, "p95": 5.0}],
            "lanes": [
                {"to_countries": ["DE"], "to_postal_prefixes": ["259"], "transit_days": {"p50": 3.0, "p95": 6.0}}
            ],
            "emission_factor": "hgv_uk_2026",
            "distance_factor": 1.2,
            "dimensional_divisor": 5000.0,
            "fuel_surcharge_rate": 0.0,
            "residential_surcharge_minor": 80,
        }
    ],
}
_CARTON: Json = {
    "code": "M", "inner_length_mm": 300, "inner_width_mm": 200, "inner_height_mm": 150, "outer_length_mm": 310,
    "outer_width_mm": 210, "outer_height_mm": 165, "weight_g": 180, "weight_max_g": 15000, "cost_minor": 38,
    "fill_share": 0.85, "active": True, "updated_at": _MONDAY,
}  # fmt: skip
_DUTY: Json = {
    "code": "CH-CLOTHING", "name": "Clothing into Switzerland", "priority": 10, "from_countries": None,
    "to_countries": ["CH"], "to_regions": None, "hs_prefixes": ["61", "62"], "categories": None,
    "valid_from": "2026-01-01", "valid_until": None, "duty_rate": 0.0, "duty_recoverable_share": 0.0,
    "tax_rate": 0.081, "unrecoverable_share": 0.0, "de_minimis_minor": 0, "fee_minor": 1900, "currency": "CHF",
    "source": "our customs broker, letter of 3 December 2025", "active": True, "updated_at": _MONDAY,
}  # fmt: skip
_FACTOR: Json = {
    "code": "hgv_uk_2026", "toc": "road, truck, diesel, UK average", "mode": "road",
    "vehicle": "heavy goods vehicle, average", "intensity_g_per_tkm": 127.15, "scope": "WTW",
    "source": "UK Government GHG Conversion Factors for Company Reporting 2026", "year": 2026, "region": "GB",
    "note": "",
}  # fmt: skip
_MARKDOWN: Json = {
    "sku": "MUG-BLUE", "node": "BERLIN", "value_minor": 490, "until": "2026-03-31", "updated_at": _MONDAY,
}  # fmt: skip
_CHANNEL: Json = {
    "code": "web", "name": "Web shop", "connector": "api", "nodes": None, "node_group": "EUROPE", "currency": "EUR",
    "priority": 10, "margin_rate": 0.35, "gate": {"units": 2}, "quota": None,
    "oversell": {"penalty_minor": 0, "late_minor_per_day": 150, "cancel": False}, "settings": {}, "prices": False,
    "active": True, "updated_at": _MONDAY,
}  # fmt: skip
_LISTING: Json = {
    "channel": "web", "sku": "MUG-BLUE", "external_id": "gid-4711", "external_sku": "mug-blue", "status": "active",
    "updated_at": _MONDAY,
}  # fmt: skip
_GATE: Json = {
    "sku": "MUG-BLUE", "hidden": 4, "of": 11, "at": _MONDAY,
    "why": "hid 4 of 11: web sells 2.1/h, shop hears us after 14 min, target 0.1 %",
}  # fmt: skip
_HEALTH: Json = {
    "channel": "shop", "connector": "shopify", "status": "publishing", "why": None, "as_of": _MONDAY,
    "lag_ms": {"p50": 180.0, "p99": 920.0}, "wait_ms": {"p50": 41.0, "p99": 210.0},
    "request_ms": {"p50": 130.0, "p99": 640.0}, "queue_depth": 3, "breaker": "closed", "failures_in_a_row": 0,
    "last_error": None, "written": 48_213, "failed": 2,
    "staleness": {"listings": 12_400, "told": 12_400, "verified": 12_398, "p50_s": 1_240.0, "oldest_s": 3_480.0},
    "failing_listings": 0, "failing": [],
    "stalest": [
        {"sku": "MUG-BLUE", "shown_units": 40, "shown_at": _MONDAY, "verified_at": None, "failures": 0,
         "last_error": None}
    ],
    "gate": {
        "mode": "adaptive", "hear_s": 14.8, "wait_s": 0.1, "apply_s": 840.2, "target": 0.001, "price_of_risk": 0.021,
        "learned_to": _MONDAY, "orders": 2_431, "oversold": 2, "latest": [_GATE],
    },
    "reconciled_at": _MONDAY,
    "drift": {
        "read": 12_400, "verified": 12_399, "learned": 0, "foreign": 1, "lost": 0, "unheard": 0, "skipped": 0,
        "unknown": 0, "missing": 0, "rejected": 0,
        "examples": [
            {"kind": "foreign", "external_id": "gid-4711", "external_sku": "mug-blue", "believed": 40, "seen": 99}
        ],
    },
    "orders": {
        "report_id": 311, "reconciled_at": _MONDAY, "seen": 1_820, "lost": 1, "changed": 0, "differing": 1,
        "error": None,
    },
    "prices": {
        "queue_depth": 1, "under_way": 0, "listings": 12_400, "dead": 0, "gone": 0, "without_price": 14,
        "other_currency": 2, "written": 812, "failed": 0, "requests": 31, "breaker": "closed", "last_error": "",
        "fault": "", "read_at": _MONDAY,
        "drift": {
            "read": 12_400, "verified": 12_399, "learned": 0, "foreign": 1, "lost": 0, "skipped": 0, "unknown": 0,
            "currency": 0, "rejected": 0,
            "examples": [
                {"kind": "foreign", "external_id": "gid-4711", "external_sku": "mug-blue", "believed": 1_250,
                 "seen": 990}
            ],
        },
        "failing": [],
    },
}  # fmt: skip
_MISNAMED: Json = {
    "status": "rejected",
    "code": "input.invalid",
    "errors": [{"path": "name", "message": "string should have at least 1 character"}],
}

_POLICY_TEXT = """\
rules:
  - name: Light orders from a store nearby
    when: order.weight_g <= 2000
    nodes: node.type == "store"
    limits: {fulfilments_max: 1, distance_km_max: 100}
  - name: Everything else
guards:
  - {metric: cost_per_order_minor, worse_by: 0.03}
"""
_BRIEF_VERSION: Json = {
    "version": 2, "state": "canary", "share": 0.05, "since": _SHIPPED, "why": "shadow saved 3 % over two weeks",
    "created_at": _MONDAY, "created_by": 1,
}  # fmt: skip
_FIRST_VERSION: Json = _BRIEF_VERSION | {
    "version": 1, "state": "active", "share": None, "since": _MONDAY, "why": "built in", "created_by": 0,
}  # fmt: skip
_VERSION: Json = _BRIEF_VERSION | {
    "name": "standard", "label": "standard@2", "text": _POLICY_TEXT,
    "hash": "5f2b0d6c1c0a4c0f9a1e7d0b3f6a9c2e4d8b7a6958473625140f1e2d3c4b5a69",
    "document": {
        "objective": "margin",
        "rules": [{"name": "Light orders from a store nearby", "when": "order.weight_g <= 2000",
                   "nodes": 'node.type == "store"', "limits": {"fulfilments_max": 1, "distance_km_max": 100.0}},
                  {"name": "Everything else"}],
    },
    "history": [
        {"state": "draft", "share": None, "at": _MONDAY, "ended_at": _PLACED, "by": 1, "why": None},
        {"state": "canary", "share": 0.05, "at": _SHIPPED, "ended_at": None, "by": 1,
         "why": "shadow saved 3 % over two weeks"},
    ],
}  # fmt: skip
_POLICY: Json = {
    "name": "standard", "latest": 2, "active": 1, "canary": 2, "share": 0.05, "shadow": None, "updated_at": _SHIPPED,
    "updated_by": 2,
}  # fmt: skip
_FINDING: Json = {
    "severity": "error", "line": 3, "column": 17, "path": "rules[0].when", "message": "order has no 'wieght_g'",
    "remedy": "did you mean 'weight_g'?",
}  # fmt: skip

# Stock --------------------------------------------------------------------------------------------

_STOCK: Json = {
    "sku": "MUG-BLUE", "node": "BERLIN", "on_hand": 40, "unavailable": 0, "allocated": 2, "oversold": 0,
    "available": 38, "inbound": 240, "safety_stock": 2, "version": 2,
}  # fmt: skip
_ENTRY: Json = {
    "entry_id": 1, "kind": "receipt", "sku": "MUG-BLUE", "node": "BERLIN", "quantity": 40,
    "change": {"on_hand": 40, "unavailable": 0, "allocated": 0, "oversold": 0},
    "on_hand": 40, "unavailable": 0, "allocated": 0, "oversold": 0, "available": 40, "version": 1, "reason": None,
    "reference": "PO-7", "ref": None, "actor": 1, "occurred_at": _MONDAY, "recorded_at": _MONDAY,
}  # fmt: skip
_ALLOCATED: Json = _ENTRY | {
    "entry_id": 2, "kind": "allocate", "quantity": 2,
    "change": {"on_hand": 0, "unavailable": 0, "allocated": 2, "oversold": 0},
    "allocated": 2, "available": 38, "version": 2, "reference": None, "ref": _ORDER_ID, "actor": 2,
    "occurred_at": _PLACED, "recorded_at": _PLACED,
}  # fmt: skip
_INBOUND: Json = {
    "inbound_id": "019cae06-c4db-7000-995b-4333ba87f1dd", "reference": "PO-2026-0117", "kind": "purchase",
    "node": "BERLIN", "supplier": "Keramik Nord", "created_at": _MONDAY, "closed_at": None,
    "lines": [{"line_no": 1, "sku": "MUG-BLUE", "quantity": 240, "received": 0, "promised": 0,
               "expected_at": "2026-03-09T08:00:00Z", "confidence": 1.0}],
}  # fmt: skip
_AVAILABILITY: Json = {
    "sku": "MUG-BLUE",
    "channel": "web",
    "ats": 34,
    "atp": [{"date": "2026-03-02", "units": 36}, {"date": "2026-03-09", "units": 276}],
    "terms": [
        {"term": "available", "node": "BERLIN", "units": 38, "on_hand": 40, "unavailable": 0, "allocated": 2,
         "ledger": {"version": 2, "entry_id": 2}},
        {"term": "safety_stock", "units": -2, "node": "BERLIN"},
        {"term": "gate", "units": -2},
    ],
}  # fmt: skip
_HELD_LINES = [{"sku": "MUG-BLUE", "quantity": 2, "node": "BERLIN"}]
_RESERVATION: Json = {
    "reservation_id": _RESERVATION_ID, "channel": "web", "status": "active", "expires_at": "2026-03-02T09:27:15Z",
    "created_at": "2026-03-02T09:12:15Z", "order_id": None, "lines": _HELD_LINES,
}  # fmt: skip
_DAY: Json = {
    "node": "BERLIN", "day": "2026-03-02",
    "capacity": {"orders": 120, "lines": None, "units": None}, "held": {"orders": 17, "lines": 23, "units": 41},
    "used": {"orders": 58, "lines": 77, "units": 131}, "planned": {"orders": 20, "lines": 20, "units": 26},
    "headroom": {"orders": 25, "lines": None, "units": None},
}  # fmt: skip

_CAMPAIGN: Json = {
    "campaign_id": "019cae2a-7b20-7000-8c11-5d0e3cf2a8b4", "name": "Spring mugs", "state": "accepted",
    "items": ["MUG-BLUE"], "channels": None, "first_day": "2026-03-14", "last_day": "2026-03-20", "discount": 0.25,
    "uplift": 0.94, "assessment": "019cae2a-6f10-7000-9d55-0c4a2be1f7a3", "by": 2, "created_at": _MONDAY,
    "cancelled_at": None,
}  # fmt: skip

_RUN_ID = "019cae2a-8c31-7000-9b02-6a1e0f4d5b77"
_BACKTEST: Json = {"loss": 0.3121, "loss_baseline": 0.3402, "gain": 0.0826, "gain_low": 0.0611, "gain_high": 0.1043}
_FORECAST: Json = {
    "run_id": _RUN_ID, "origin": "2026-03-02", "sku": "MUG-BLUE", "node": None, "region": "DE-BE", "channel": None,
    "segment": "smooth", "in_charge": "model", "models": {"boosted": 0.75, "phase_median": 0.25},
    "backtest": _BACKTEST, "contributions": {"history": 0.71, "price": 0.17, "calendar": 0.12},
    "periods": [
        {"from": "2026-03-02", "mean": 9.4, "quantiles": {"0.1": 5.2, "0.5": 9.1, "0.9": 14.3}},
        {"from": "2026-03-03", "mean": 8.7, "quantiles": {"0.1": 4.8, "0.5": 8.4, "0.9": 13.5}},
    ],
}  # fmt: skip
_FORECAST_ERROR: Json = {
    "wape": 0.2184, "rmsse": 0.7421, "bias": -0.031, "pinball": 0.912, "coverage": {"0.8": 0.821},
}  # fmt: skip
_FORECAST_ITEM: Json = {
    "sku": "MUG-BLUE",
    "forecast": {
        "run_id": _RUN_ID, "origin": "2026-03-02", "freq": "D", "series": 3,
        "periods": [{"from": "2026-03-02", "mean": 26.1, "quantiles": {"0.1": 17.4, "0.5": 25.7, "0.9": 36.2}}],
    },
    "accuracy": {
        "run_id": "019c8a20-3b10-7000-8a55-2f6d7a80c915", "origin": "2026-02-16", "to": "2026-03-01", "periods": 14,
        "series": 3, "forecast": _FORECAST_ERROR,
        "baseline": {"wape": 0.2611, "rmsse": 0.8837, "bias": 0.012, "pinball": 1.077, "coverage": {"0.8": 0.774}},
        "seasonal_naive": {"wape": 0.3302, "rmsse": 1.0412, "bias": 0.044, "pinball": None, "coverage": {}},
    },
}  # fmt: skip
_FORECAST_PARTS: Json = {
    "mean": 26.1, "base": 22.4, "contributions": {"promotion": 3.2, "history": 1.1, "temperature": -0.6}, "others": 0.0,
}  # fmt: skip
_FORECAST_HEAD: Json = {
    "run_id": _RUN_ID, "job_id": "019cae2a-8c31-7000-8d4e-91b7c02f6a10", "state": "done", "origin": "2026-03-02",
    "freq": "D", "horizon": 28, "levels": [0.1, 0.5, 0.9], "by_channel": False, "series": 4_210, "scored_periods": 7,
    "has_series": True, "by": 2, "created_at": _MONDAY, "finished_at": "2026-03-02T09:14:40Z",
}  # fmt: skip
_FORECAST_SCORE: Json = {
    "segment": "all", "part": "champion", "series": 4_210, "periods": 7, "loss": 0.3187, "loss_baseline": 0.3451,
    "bias": -0.021, "gain": 0.0765, "low": 0.0512, "high": 0.1007, "coverage": {"0.8": 0.813},
}  # fmt: skip
_FORECAST_RUN: Json = _FORECAST_HEAD | {
    "champion": {
        "model_id": "019cae2a-8c31-7000-a5f1-3d9e20c7b8aa", "role": "champion", "why": "first",
        "learned_until": "2026-02-16", "series": 2_500,
        "looks_at": {"known_ahead": ["price", "public_holiday"], "past_only": []}, "created_at": _MONDAY,
        "promoted_at": _MONDAY, "retired_at": None,
    },
    "challenger": None,
    "segments": [
        _BACKTEST | {"segment": "smooth", "series": 1_377, "in_charge": "model", "origins": 2,
                     "shares": {"boosted": 0.75, "phase_median": 0.25}}
    ],
    "contributions": {"history": 0.71, "price": 0.17, "calendar": 0.12},
    "signals": [
        {"signal": "price", "verdict": "helps", "stays": True, "without": 0.3402, "with": 0.3121, "gain": 0.0826,
         "worst": -0.041}
    ],
    "realised": [_FORECAST_SCORE],
    "drift": [{"segment": "all", "periods": 21, "loss_since": None, "bias_since": None}],
}  # fmt: skip
_FORECAST_SCHEDULE: Json = {
    "freq": "D", "horizon": 28, "levels": [0.1, 0.5, 0.9], "by_channel": False, "ablate": True, "learn": False,
    "seed": 0, "hour": 3, "active": True, "next_at": "2026-03-03T03:00:00Z", "by": 2, "updated_at": _MONDAY,
}  # fmt: skip
_PLAN_SCHEDULE: Json = {
    "plans": [
        {"items": [], "categories": [], "nodes": [], "valid_hours": 24, "seed": 0, "kind": "replenish",
         "settings": {"service_level": 0.95, "fill_rate": None, "carrying_rate": 0.25, "budget_minor": None,
                      "smoothing": 1.0}},
    ],
    "hour": 5, "active": True, "next_at": "2026-03-03T05:00:00Z", "by": 2, "updated_at": _MONDAY,
}  # fmt: skip
_LANES_SCHEDULE: Json = {
    "days": 90, "floor_minor": 25.0, "orders_max": 5000, "hour": 2, "active": True,
    "next_at": "2026-03-03T02:00:00Z", "by": 2, "updated_at": _MONDAY,
}  # fmt: skip
_LANE: Json = {
    "from": "LYON", "to": "BERLIN", "days": 2, "unit_cost_minor": 35, "kg_cost_minor": 0, "units_per_day": 600,
    "co2_g_per_kg": 95, "active": True, "updated_at": _MONDAY,
}  # fmt: skip
_SUPPLY: Json = {
    "sku": "MUG-BLUE", "node": "BERLIN", "supplier": "Keramik Nord", "lead_days": [6, 7, 7, 9, 14], "review_days": 7,
    "order_days": [1], "minimum": 48, "multiple": 12, "unit_cost_minor": 310, "order_cost_minor": 0,
    "stockout_minor": None, "carrying_rate": None, "co2_g_per_unit": 40, "active": True, "updated_at": _MONDAY,
}  # fmt: skip
_PLAYBOOK: Json = {
    "name": "counts", "version": 2, "summary": "Have doubted units counted.", "on": ["phantom_stock"], "active": True,
    "steps": ["request_count"], "created_at": _MONDAY, "created_by": 1,
}  # fmt: skip
_RUN: Json = {
    "run_id": "019cae2b-1d20-7000-8a44-90b1c2d3e4f5", "version": 2, "status": "standing", "due_at": _SHIPPED,
    "why": None, "error": None, "created_at": _PLACED, "finished_at": None, "playbook": "counts", "step": 2,
    "steps": ["request_count"], "cost_minor": 0, "orders": 0, "units": 0,
    "parts": [
        {
            "step": 1, "part": 1, "do": "request_count", "name": "request_count", "outcome": "done", "why": None,
            "result": {"asked": 1, "asked_before": 0}, "cost_minor": 0, "orders": 0, "units": 0, "at": _PLACED,
            "undone_at": None, "undone": None,
        },
    ],
}  # fmt: skip
_PROPOSAL: Json = {
    "proposal_id": "019cae2a-8c30-7000-9b1e-2f6d7a80c915", "job_id": _JOB_ID, "plan": "rebalance", "kind": "transfer",
    "status": "approved", "sku": "MUG-BLUE", "node": "BERLIN", "from": "LYON", "supplier": None, "quantity": 24,
    "price_minor": None, "cost_minor": 840, "currency": "EUR", "act_by": "2026-03-02", "expected_at": "2026-03-04",
    "expires_at": "2026-03-03T07:30:00Z",
    "effect": {
        "money_minor": {"expected": 8214, "low": 1390, "high": 15220},
        "units": {"expected": 17.4, "low": 4.0, "high": 24.0},
        "service": {
            "all_served_before": None, "all_served_after": None,
            "share_before": {"expected": 0.61, "low": 0.42, "high": 0.9},
            "share_after": {"expected": 0.93, "low": 0.71, "high": 1.0},
        },
        "co2_g": {"expected": 776, "low": 776, "high": 776},
        "cover_days": 5.6,
    },
    "basis": {"forecast": "the same weekdays of the last eight weeks", "origin": "2026-03-01", "horizon_days": 14},
    "explanation": "Move 24 of MUG-BLUE from LYON to BERLIN, there on 2026-03-04: 17.4 more units are expected to be"
    " sold, worth 82.14 EUR after 8.40 EUR for the way.",
    "created_at": _MONDAY, "decided_at": _PLACED, "by": 2, "reason": None,
    "followed": {
        "inbound_id": "019cae2a-9d10-7000-8a11-7c20be41f3d6",
        "reference": "TRANSFER-019cae2a-8c30-7000-9b1e-2f6d7a80c915", "ordered": 24, "shipped": 24, "received": 0,
        "short": 0,
    },
    "undone": False,
}  # fmt: skip
_SERVICE_CURVE: Json = {
    "sku": "MUG-BLUE", "node": "BERLIN",
    "basis": {"forecast": "the same weekdays of the last eight weeks", "origin": "2026-03-01", "horizon_days": 35},
    "supplier": "Keramik Nord", "lead_days": {"p50": 7.0, "p95": 14.0}, "review_days": 3, "mean_units": 94.2,
    "points": [
        {"units": 0, "safety_stock": 0, "service": 0.0, "fill_rate": 0.0, "short_units": 94.2},
        {"units": 110, "safety_stock": 16, "service": 0.8125, "fill_rate": 0.9741, "short_units": 2.44},
        {"units": 138, "safety_stock": 44, "service": 0.9775, "fill_rate": 0.9982, "short_units": 0.17},
    ],
    "present": {"units": 72, "safety_stock": 0, "service": 0.0875, "fill_rate": 0.7608, "short_units": 22.53},
    "kept": {"units": 110, "safety_stock": 16, "service": 0.8125, "fill_rate": 0.9741, "short_units": 2.44},
    "best": {"units": 138, "safety_stock": 44, "service": 0.9775, "fill_rate": 0.9982, "short_units": 0.17},
}  # fmt: skip

# Orders -------------------------------------------------------------------------------------------

_COST: Json = {"shipping": 560, "handling": 150, "split": 0, "lateness": 2, "carbon": 0}
_UNITS = [{"line_id": "1", "sku": "MUG-BLUE", "quantity": 2}, {"line_id": "2", "sku": "PLATE-BLUE", "quantity": 1}]
_ANSWER: Json = {
    "order_id": _ORDER_ID,
    "status": "sourced",
    "queue": None,
    "promise": {"deliver_by": _DELIVER_BY, "confidence": 0.95},
    "fulfilments": [
        {"fulfilment_id": _FULFILMENT_ID, "node": "BERLIN", "carrier": "POST", "service": "parcel", "lines": _UNITS,
         "cost": _COST, "cost_minor": 712, "co2_g": 40, "ship_by": _SHIP_BY, "deliver_by": _DELIVER_BY}
    ],
    "waiting": [],
    "plan_id": _PLAN_ID,
}  # fmt: skip
_PREDICTION: Json = {
    "made_at": "2026-03-03T04:12:42.1Z", "p10": "2026-03-03T12:40:00Z", "p50": "2026-03-03T16:20:00Z",
    "p90": "2026-03-04T11:30:00Z", "p95": "2026-03-04T15:00:00Z",
}  # fmt: skip
_TRACKING: Json = {
    "verify": {"scheme": "hmac", "digest": "sha256", "encoding": "hex", "over": "body", "header": "X-Signature",
               "prefix": "", "tolerance_s": 300},
    "records": "shipments[].{number: number, events: events}", "each": "events",
    "map": {
        "tracking": "parent.number", "at": "moment(child.time)", "code": "child.status",
        "milestone": {"path": "child.status", "table": {"AR": "at_hub", "OK": "delivered"}},
    },
}  # fmt: skip
_TRACKED: Json = {
    "shipment_id": f"{_ORDER_ID}-s1", "order_id": _ORDER_ID, "fulfilment_id": _FULFILMENT_ID, "node": "BERLIN",
    "carrier": "POST", "service": "parcel", "tracking": "JD014600", "status": "at_hub", "shipped_at": _SHIPPED,
    "scanned_at": "2026-03-03T04:12:00Z", "delivered_at": None, "deliver_by": _DELIVER_BY, "p_late": 0.03,
    "likely_late_since": None, "prediction": _PREDICTION,
}  # fmt: skip
_PAYMENT: Json = {
    "payment_id": _ORDER_ID, "order_id": _ORDER_ID, "external_id": "1001", "provider": "cards", "currency": "EUR",
    "status": "partly_refunded", "authorised_minor": 3571, "captured_minor": 2381, "refunded_minor": 1190,
    "voided_minor": 1190, "invoiced_minor": 2381, "credited_minor": 1190, "lost_minor": 0, "charged_back_minor": 0,
    "fee_minor": 69, "trouble": None, "is_disputed": False,
    "tries": 0, "look_at": None, "created_at": _PLACED, "updated_at": _SHIPPED,
}  # fmt: skip
_PAYMENT_DETAIL: Json = _PAYMENT | {
    "authorisations": [
        {"provider_id": "pi_3PqT", "amount_minor": 3571, "captured_minor": 2381, "refunded_minor": 1190,
         "released_minor": 1190, "is_open": False, "granted_at": _PLACED, "expires_at": "2026-03-09T09:15:16Z"}
    ],
    "operations": [
        {"number": 1, "kind": "authorise", "amount_minor": 3571, "state": "done", "attempts": 1, "code": None,
         "error": None, "created_at": _PLACED, "first_sent_at": _PLACED, "done_at": _PLACED, "next_try_at": None}
    ],
    "documents": [
        {"number": "INV-2026-000001", "kind": "invoice", "of": f"{_ORDER_ID}-s1", "net_minor": 2000, "tax_minor": 381,
         "gross_minor": 2381, "moved_at": _SHIPPED, "issued_at": _SHIPPED,
         "lines": [{"line_no": 1, "line_id": "1", "sku": "MUG-BLUE", "quantity": 2, "net_minor": 2000,
                    "tax_minor": 381, "gross_minor": 2381}]}
    ],
}  # fmt: skip
_RECONCILIATION: Json = {
    "day": "2026-03-02", "balanced": True,
    "statements": [
        {"currency": "EUR", "balanced": True, "orders": 2, "orders_elsewhere": 1, "shipped_minor": 2381,
         "returned_minor": 0, "shipped_elsewhere_minor": 4990, "returned_elsewhere_minor": 0, "invoiced_minor": 2381,
         "credited_minor": 0, "captured_minor": 0, "refunded_minor": 0, "open_before_minor": 0,
         "open_after_minor": 2381, "differences_count": 1,
         "differences": [{"order_id": _ORDER_ID, "external_id": "1001", "amount_minor": 2381, "reason": "under_way",
                          "detail": ""}]}
    ],
}  # fmt: skip
_REFUSED: Json = {
    "status": "rejected", "code": "input.invalid", "detail": "lines[0].sku: no item 'MUG-BLEU'",
    "errors": [{"path": "lines[0].sku", "message": "no item 'MUG-BLEU'"}],
}  # fmt: skip
_FULFILMENT: Json = {
    "fulfilment_id": _FULFILMENT_ID, "order_id": _ORDER_ID, "plan_id": _PLAN_ID, "node": "BERLIN",
    "status": "allocated", "reason": None, "carrier": "POST", "service": "parcel", "method": "ship",
    "lines": [units | {"shipped": 0} for units in _UNITS], "cost": _COST, "cost_minor": 712, "co2_g": 40,
    "ship_by": _SHIP_BY, "deliver_by": _DELIVER_BY,
}  # fmt: skip
_GONE: Json = _FULFILMENT | {
    "status": "shipped",
    "lines": [units | {"shipped": units["quantity"]} for units in _UNITS],
}
_ORDER: Json = {
    "order_id": _ORDER_ID,
    "channel": "web",
    "external_id": "1001",
    "status": "sourced",
    "queue": None,
    "promise": {"deliver_by": _DELIVER_BY},
    "lines": [units | {"cancelled": 0, "shipped": 0, "returned": 0} for units in _UNITS],
    "fulfilments": [_FULFILMENT],
    "waiting": [],
}
_BRIEF: Json = {
    "order_id": _ORDER_ID, "channel": "web", "external_id": "1001", "status": "sourced", "queue": None,
    "currency": "EUR", "placed_at": _PLACED, "created_at": _PLACED, "promise": {"deliver_by": _DELIVER_BY},
    "customer_id": _CUSTOMER_ID, "lines": 2, "units": 3, "total_minor": 3390,
}  # fmt: skip
_SHIPMENT: Json = {
    "shipment_id": f"{_ORDER_ID}-s1", "carrier": "POST", "service": "parcel", "tracking": "JD014600", "lines": _UNITS,
}  # fmt: skip
_RETURN: Json = {
    "return_id": f"{_ORDER_ID}-r1", "node": "BERLIN", "disposition": "restock", "lines": [_UNITS[0] | {"quantity": 1}],
}  # fmt: skip
_DETAIL: Json = _ORDER | {
    "status": "shipped",
    "promise": {"deliver_by": _DELIVER_BY, "confidence": 0.95},
    "lines": [
        units | {"cancelled": 0, "shipped": units["quantity"], "returned": returned, "price_minor": price,
                 "tax_minor": None}
        for units, returned, price in zip(_UNITS, (1, 0), (1250, 890), strict=True)
    ],
    "fulfilments": [_GONE],
    "currency": "EUR",
    "placed_at": _PLACED,
    "created_at": _PLACED,
    "customer_id": _CUSTOMER_ID,
    "destination": {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38},
    "method": "ship",
    "hold": None,
    "wishes": {},
    "shipments": [_SHIPMENT | {"fulfilment_id": _FULFILMENT_ID, "shipped_at": _SHIPPED, "delivered_at": None}],
    "returns": [_RETURN | {"returned_at": "2026-03-11T10:05:31Z"}],
    "plans": [{"plan_id": _PLAN_ID, "at": _PLACED, "policy": "standard@1", "because": None}],
    "timeline": [
        {"kind": "order.sourced", "subject": _ORDER_ID, "at": _PLACED, "actor": 2, "reason": None,
         "data": {"order_id": _ORDER_ID, "channel": "web", "external_id": "1001", "status": "sourced", "queue": None}},
        {"kind": "fulfilment.shipped", "subject": _FULFILMENT_ID, "at": _SHIPPED, "actor": 3, "reason": None,
         "data": {"fulfilment_id": _FULFILMENT_ID, "order_id": _ORDER_ID, "node": "BERLIN", "status": "shipped",
                  "change": "ship", "lines": _UNITS}},
    ],
}  # fmt: skip
_OFFER: Json = {
    "deliver_by": _DELIVER_BY, "confidence": 0.95, "cost_minor": 572, "co2_g": 40,
    "fulfilments": [
        {"node": "BERLIN", "carrier": "POST", "service": "parcel", "lines": [{"sku": "MUG-BLUE", "quantity": 2}],
         "cost": _COST | {"shipping": 420}, "ship_by": _SHIP_BY, "deliver_by": _DELIVER_BY}
    ],
}  # fmt: skip
_REROUTED: Json = _FULFILMENT | {
    "fulfilment_id": f"{_ORDER_ID}-f2", "plan_id": f"{_ORDER_ID}-p2", "node": "LYON",
    "cost": {"shipping": 890, "handling": 180, "split": 0, "lateness": 92, "carbon": 0}, "cost_minor": 1162,
    "deliver_by": "2026-03-07T16:00:00Z",
}  # fmt: skip
_REFUSED_FULFILMENT: Json = _FULFILMENT | {"status": "rejected", "reason": "not_found"}
_PLAN: Json = {
    "plan_id": _PLAN_ID,
    "at": _PLACED,
    "policy": "standard@1",
    "rule": None,
    "objective": {"name": "margin", "split_minor": 100, "target_days": 5, "late_minor": 500, "day_minor": 1,
                  "co2_minor_per_kg": 0},
    "decision": _ANSWER,
    "reproduced": True,
    "method": "exact",
    "cost_minor": 712,
    "uses_safety_stock": False,
    "chosen": ["BERLIN"],
    "candidates": [
        {"node": "BERLIN", "chosen": True, "can_serve": ["MUG-BLUE", "PLATE-BLUE"], "missing": {},
         "best_service": "parcel", "carrier": "POST", "cost": _COST, "cost_minor": 712, "ship_by": _SHIP_BY,
         "deliver_by": _DELIVER_BY},
        {"node": "LYON", "chosen": False, "can_serve": ["MUG-BLUE"], "missing": {"PLATE-BLUE": 1},
         "best_service": "parcel", "carrier": "POST",
         "cost": {"shipping": 560, "handling": 180, "split": 0, "lateness": 92, "carbon": 0}, "cost_minor": 832,
         "ship_by": _SHIP_BY, "deliver_by": "2026-03-07T16:00:00Z"},
    ],
    "binding_constraints": [],
    "runner_up": None,
    "would_change_it": [],
    "sentences": [
        "2 nodes of web held some of 2 of MUG-BLUE and 1 of PLATE-BLUE.",
        f"BERLIN ships all of it by parcel for 712, due {_DELIVER_BY}.",
        "Without any one of these nodes it could not be served at all.",
    ],
}  # fmt: skip
_CUSTOMER: Json = {
    "customer_id": _CUSTOMER_ID, "email": "ada@example.org", "name": "Ada Berg", "phone": None,
    "address": {"street": "Rosenweg 1", "city": "Berlin"}, "created_at": _PLACED, "erased_at": None,
}  # fmt: skip

# Events and keys ----------------------------------------------------------------------------------

_AUDITED: Json = _DETAIL["timeline"][0] | {"id": _EVENT_ID, "actor_name": "web shop"}
_WEBHOOK: Json = {
    "webhook_id": _WEBHOOK_ID, "url": "https://shop.example/onhand", "kinds": ["order.*", "stock.changed"],
    "active": True, "created_at": _MONDAY, "disabled_at": None, "failing_since": None,
}  # fmt: skip
_DELIVERY: Json = {
    "delivery_id": 17, "event_id": _EVENT_ID, "type": "order.sourced", "subject": _ORDER_ID, "status": "delivered",
    "attempts": 1, "created_at": _PLACED, "due_at": None, "delivered_at": "2026-03-02T09:15:16.020511Z",
    "last_error": None,
}  # fmt: skip
_KEY: Json = {
    "key_id": 2, "name": "web shop", "prefix": "onh_unl8B9Xd", "scopes": ["orders:write", "read"],
    "expires_at": None, "created_at": _MONDAY,
}  # fmt: skip

_MESSAGE: Json = {
    "message_id": 4711, "topic": "order.updated", "status": "parked", "attempts": 5, "received_at": _PLACED,
    "next_try_at": _PLACED, "done_at": None, "error": "the message cannot be read: currency: expected text",
}  # fmt: skip
_CHANNEL_ORDER: Json = {
    "external_id": "gid://shopify/Order/1001", "order_id": None, "status": "unknown_sku", "channel_status": "open",
    "problem": "no listing or item is known as 'mug-green'", "is_behind": True, "attempts": 1, "said_at": _PLACED,
    "heard_at": _PLACED,
}  # fmt: skip
_NOTICE: Json = {
    "notice_id": 12, "order_id": _ORDER_ID, "kind": "parcel", "shipment_no": 1, "status": "done", "attempts": 1,
    "created_at": _SHIPPED, "next_try_at": _SHIPPED, "sent_at": _SHIPPED, "done_at": _SHIPPED, "error": None,
}  # fmt: skip
_ORDERS_REPORT: Json = {
    "report_id": 3, "since": "2026-02-23T09:15:00Z", "at": _PLACED, "seen": 412, "lost": 1, "changed": 0,
    "differing": 1,
    "findings": [{"external_id": "1001", "order_id": None, "finding": "we had not heard of it", "done": "taken in"}],
}  # fmt: skip
_RULING: Json = {
    "arbitration_id": 5, "at": _PLACED, "order_id": _ORDER_ID, "sku": "MUG-BLUE", "units": 1, "served": _ORDER_ID,
    "gave_way": ["019cae1d-0b3f-7000-92f0-c69eacf47000"], "outcome": "backorder",
    "sentence": "market 77 would lose 50.00, web 1001 3.00: market 77 is served and web 1001 gets a backorder (supply"
    " of 2026-03-04)",
}  # fmt: skip
# Demand -------------------------------------------------------------------------------------------

_DEMAND: Json = {
    "day": "2026-03-02", "sku": "MUG-BLUE", "node": None, "region": "DE-BE", "channel": None, "units": 9.0,
    "cancelled": 1.0, "bulk": 0.0, "returned": 0.0, "lost": 2.4183, "demand": 10.4183, "open_share": 0.75,
    "price_minor": 1250.0, "rules": ["stock_out", "cancellation"],
}  # fmt: skip
_SIGNAL: Json = {
    "name": "temperature", "scope": {"region": "DE-BE"}, "known_ahead": False, "fill": None, "values": 730,
    "corrections": 3, "first_at": "2024-03-02T00:00:00Z", "last_at": "2026-03-01T00:00:00Z", "recorded_at": _MONDAY,
}  # fmt: skip
_FEED: Json = {
    "name": "temperature", "format": "json", "rows": None, "signal": None, "scope": {"region": "DE-BE"},
    "url": "https://archive.weather.example/v1/daily?latitude=52.5&longitude=13.4&start={from}&end={to}",
    "columns": {"at": "daily.time", "value": "daily.temperature_2m_mean"}, "known_ahead": False, "fill": None,
    "timezone": "UTC", "every_s": 21_600, "days_back": 10, "days_ahead": 0, "headers": {}, "active": True,
    "has_secrets": False, "next_at": _PLACED, "read_at": _MONDAY, "written": 2, "rejected": 0, "reject": None,
    "failures": 0, "error": None, "updated_at": _MONDAY,
}  # fmt: skip

_COST_ENTRY: Json = {
    "entry_id": 41, "at": _MONDAY, "kind": "actual", "term": "shipping", "minor": 122, "currency": "EUR",
    "cause": "invoice", "fulfilment_id": _FULFILMENT_ID, "shipment_id": f"{_ORDER_ID}-s1", "sku": "MUG-BLUE",
    "node": "BERLIN", "carrier": "dhl", "source": "f1 s1 invoiced",
}  # fmt: skip

_RAILS: Json = {
    "currency": "EUR", "money_per_hour_minor": 50_000, "units_per_hour": 500, "orders_per_hour": None,
    "money_per_action_minor": None, "units_per_action": 60, "orders_per_action": None, "confidence_min": 0.9,
    "gain_per_cost_min": 0.0, "cool_down_s": 3_600, "own_s": 86_400, "data_age_max_s": 172_800, "hold_out_share": 0.1,
    "correction_max": 0.5,
    "freezes": [{"from": "2026-11-26T00:00:00Z", "until": "2026-12-01T00:00:00Z", "note": "Black Friday"}],
}  # fmt: skip
_PROPOSED: str = "proposal:019cae2a-8c30-7000-9b1e-2f6d7a80c915"
_SWITCH: Json = {"stopped": False, "at": _PLACED, "by": 0, "reason": None}
_DOMAIN: Json = {
    "domain": "rebalance", "mode": "auto", "guardrails": _RAILS,
    "used": {"money_minor": 1_240, "units": 38, "orders": 0},
    "evidence": {"acted": 212, "held_out": 24, "promised": 0.62, "saved": 0.51, "low": 0.42, "high": 0.6,
                 "compared": True},
    "changed_at": _PLACED, "by": 2, "reason": None,
}  # fmt: skip
_ACTION: Json = {
    "action_id": "019cae2a-9d41-7000-8a2e-5b6c7d8e9f01", "domain": "rebalance",
    "key": ["item_node", "MUG-BLUE", "BERLIN"], "direction": 1, "reference": _PROPOSED,
    "held_out": False, "money_minor": 420, "currency": "EUR", "units": 12,
    "orders": 0, "confidence": 0.97, "stake_minor": 6_300, "gain_minor": 5_880, "at": _PLACED,
    "judge_at": "2026-03-17T08:00:00Z", "lost_minor": None, "judged_at": None, "void": None,
}  # fmt: skip
_VERDICT: Json = {
    "reference": _PROPOSED, "domain": "rebalance", "verdict": "recommend", "code": "too_wide",
    "detail": "units_per_action: 84, at most 60", "at": _PLACED,
}  # fmt: skip
_LANE_OF_INCIDENT: Json = {"what": "lane", "key": ["BERLIN", "POST", "FR"]}
_INCIDENT: Json = {
    "incident_id": "019cae2a-a3b2-7000-9c1d-2e3f4a5b6c7d", "kind": "lane_slow", "cause": _LANE_OF_INCIDENT,
    "status": "open", "loss_minor": 18_400, "risk_minor": 16_928, "currency": "EUR", "confidence": 0.92, "findings": 1,
    "since": _PLACED, "opened_at": _SHIPPED, "seen_at": _SHIPPED, "closed_at": None, "merged_in": None,
    "dismissed_at": None, "by": None, "reason": None,
}  # fmt: skip
_MONEY_OF_INCIDENT: Json = {
    "booked_minor": 2_700, "booked": [{"run_id": "019cae2a-c2f0-7000-8b11-0a9d3c5e7f21", "step": 2, "minor": 2_700}],
    "acted": {"things": 58, "stake_minor": 16_700, "judged": 40, "judged_stake_minor": 11_500, "lost_minor": 2_100},
    "held_out": {"things": 6, "stake_minor": 1_700, "judged": 4, "judged_stake_minor": 1_150, "lost_minor": 900},
    "saved_minor": 9_400, "next_judged_at": "2026-03-17T08:00:00Z", "orders": 64, "failures_minor": 3_000,
}  # fmt: skip
_EVIDENCE: Json = {
    "subject": _LANE_OF_INCIDENT, "sentence": "lane BERLIN/POST/FR takes about 2.1 days longer than foretold",
    "numbers": {"delay_days": 2.1, "open_shipments": 64}, "loss_minor": 18_400, "risk_minor": 16_928,
    "confidence": 0.92, "since": _PLACED, "causes": [_LANE_OF_INCIDENT, {"what": "carrier", "key": ["POST"]}],
}  # fmt: skip
_CONNECTOR: Json = {
    "name": "woocommerce", "title": "WooCommerce", "description": "", "status": "beta", "vendor_api": "wc/v3",
    "is_own": False, "capabilities": ["listings.pull", "orders.pull", "stock.pull", "stock.push"],
    "settings": {
        "type": "object",
        "properties": {
            "url": {
                "type": "string", "format": "uri", "maxLength": 2000, "description": "of the shop",
                "examples": ["https://shop.example"],
            },
        },
        "required": ["url"],
        "additionalProperties": False,
    },
    "credentials": {
        "type": "object",
        "properties": {
            "consumer_key": {
                "type": "string", "format": "password", "writeOnly": True, "maxLength": 20000,
                "description": "of a REST API key with read and write access",
            },
        },
        "required": ["consumer_key"],
        "additionalProperties": False,
    },
    "error": None,
}  # fmt: skip

_JOB: Json = {
    "job_id": _JOB_ID, "kind": "policy.simulate", "state": "running",
    "progress": {"stage": "replaying standard@4", "done": 61_440, "total": 96_226},
    "request": {"name": "standard", "begins": "2026-02-01T00:00:00Z", "ends": "2026-03-01T00:00:00Z", "version": 4},
    "error": None, "attempts": 1, "by": 1, "created_at": _PLACED, "started_at": _PLACED, "finished_at": None,
}  # fmt: skip
ANSWERS: dict[str, object] = {
    "StoryOut": {"story": None},
    "StoryWish": {"speed": 300.0, "chapter": None},
    "IncidentOut": _INCIDENT,
    "IncidentWithFindingsOut": _INCIDENT | {"money": _MONEY_OF_INCIDENT, "evidence": [_EVIDENCE]},
    "IncidentList": {"data": [_INCIDENT], "next_cursor": None},
    "AutopilotOut": {"switch": _SWITCH, "domains": [_DOMAIN]},
    "DomainOut": _DOMAIN,
    "SwitchOut": _SWITCH | {"stopped": True, "by": 2, "reason": "stocktaking"},
    "ActionList": {"data": [_ACTION], "next_cursor": None},
    "VerdictList": {"data": [_VERDICT], "next_cursor": None},
    "ChargeResults": {"results": [{"status": "created", "reference": "DHL-2026-03/1"}]},
    "CostList": _page(
        {"key": "invoice", "currency": "EUR", "orders": 1204, "promised_minor": 0, "not_shipped_minor": 0,
         "actual_minor": 48211, "difference_minor": 48211, "failures_minor": 48211}
    ),
    "OrderCosts": _page(_COST_ENTRY)
    | {
        "order_id": _ORDER_ID,
        "totals": [{"currency": "EUR", "promised_minor": 612, "actual_minor": 734, "failures_minor": 122}],
    },
    "CampaignOut": _CAMPAIGN,
    "ForecastAskedOut": {"run_id": _RUN_ID, "job_id": "019cae2a-8c31-7000-8d4e-91b7c02f6a10", "state": "queued"},
    "ForecastList": _page(_FORECAST), "ForecastRunOut": _FORECAST_RUN, "ForecastScheduleOut": _FORECAST_SCHEDULE,
    "PlanScheduleOut": _PLAN_SCHEDULE, "LanesScheduleOut": _LANES_SCHEDULE,
    "ForecastItemOut": _FORECAST_ITEM,
    "ForecastContributionsOut": {
        "sku": "MUG-BLUE", "reason": None,
        "explained": {
            "run_id": _RUN_ID, "origin": "2026-03-02", "freq": "D", "series": 3, "series_by_trees": 3,
            "a_day": _FORECAST_PARTS, "periods": [{"from": "2026-03-02"} | _FORECAST_PARTS],
        },
    },
    "ForecastRunList": _page(_FORECAST_HEAD | {"realised": _FORECAST_SCORE}),
    "LaneList": _page(_LANE),
    "LaneResults": {"results": [{"status": "created", "from": "LYON", "to": "BERLIN"}]},
    "SupplyList": _page(_SUPPLY),
    "SupplyResults": {"results": [{"status": "created", "sku": "MUG-BLUE", "node": "BERLIN"}]},
    "ProposalOut": _PROPOSAL,
    "ProposalList": _page(_PROPOSAL),
    "ProposalResults": {
        "results": [
            {"proposal_id": _PROPOSAL["proposal_id"], "outcome": "approved", "code": None, "message": None,
             "proposal": _PROPOSAL},
            {"proposal_id": "019cae2a-8c30-7000-9b1e-2f6d7a80c916", "outcome": "refused", "code": "proposal.lane_full",
             "message": "24 units are to leave, and the lane has room for 0 more today", "proposal": None},
        ]
    },
    "ServiceCurveOut": _SERVICE_CURVE,
    "RunList": {"data": [_RUN]},
    "PlaybookList": {"data": [_PLAYBOOK]},
    "PlaybookOut": _PLAYBOOK
    | {
        "document": {
            "summary": _PLAYBOOK["summary"], "on": _PLAYBOOK["on"], "when": None, "active": True,
            "steps": [{"do": "request_count"}],
        },
        "text": "summary: Have doubted units counted.\non: [phantom_stock]\nsteps:\n  - do: request_count\n",
        "warnings": [],
    },
    "MessagesOut": {"customer_id": _CUSTOMER_ID, "messages": False},
    "CampaignList": _page(_CAMPAIGN),
    "DemandList": _page(_DEMAND), "SignalList": _page(_SIGNAL), "FeedOut": _FEED, "FeedList": _page(_FEED),
    "SaleResults": {"results": [{"status": "created", "sku": "MUG-BLUE"}]},
    "SignalResults": {
        "results": [
            {"status": "created", "name": "temperature"},
            {"status": "rejected", "name": "promotion", "code": "input.invalid",
             "errors": [{"path": "scope.sku", "message": "no item 'MUG-BLEU'"}]},
        ]
    },
    "MessageList": _page(_MESSAGE), "MessageOut": _MESSAGE | {"status": "due", "attempts": 0, "error": None},
    "ChannelOrderList": _page(_CHANNEL_ORDER), "NoticeList": _page(_NOTICE), "ReportList": _page(_ORDERS_REPORT),
    "RulingList": _page(_RULING), "RetryOrder": {"external_id": "gid://shopify/Order/1001"},
    "ConnectorOut": _CONNECTOR,
    "ConnectorList": {"data": [_CONNECTOR]},
    "ChannelTriedOut": {
        "channel": "shop",
        "connector": "woocommerce",
        "verdict": "failed",
        "took_ms": 412.7,
        "checks": [
            {
                "capability": "listings.pull", "verdict": "works", "reason": None, "remedy": None, "status": 200,
                "said": "", "took_ms": 208.3, "read": 100, "rejected": 0,
            },
            {
                "capability": "orders.pull", "verdict": "failed", "reason": "no_permission",
                "remedy": "It knows the key and does not let it do this: give the key this permission there.",
                "status": 403, "said": "Sorry, you cannot list resources.", "took_ms": 204.1, "read": None,
                "rejected": None,
            },
            {
                "capability": "stock.push", "verdict": "untried", "reason": "writes",
                "remedy": "It writes, so it is not tried: the first write will tell.", "status": None, "said": "",
                "took_ms": None, "read": None, "rejected": None,
            },
        ],
    },
    "AskedOut": {"channel": "shop", "status": "asked"},
    "AuditLog": _page(_AUDITED),
    "Availability": _AVAILABILITY,
    "CapacityList": _page(_DAY),
    "CarrierList": _page(_CARRIER),
    "CarrierOut": _CARRIER,
    "CartonList": _page(_CARTON),
    "CartonOut": _CARTON,
    "ChannelHealthOut": _HEALTH,
    "GatesOut": {"data": [_GATE]},
    "ChannelList": _page(_CHANNEL),
    "ChannelOut": _CHANNEL,
    "CreatedKey": _KEY | {"key": "onh_unl8B9Xd-this-is-shown-only-once"},
    "CreatedWebhook": _WEBHOOK | {"secret": "whsec_c2hvd24gaGVyZSBhbmQgbmV2ZXIgYWdhaW4"},
    "CustomerList": _page(_CUSTOMER),
    "Deliveries": _page(_DELIVERY),
    "DutyList": _page(_DUTY),
    "DutyOut": _DUTY,
    "EmissionFactorList": _page(_FACTOR),
    "EntryList": _page(_ENTRY, _ALLOCATED),
    "ErasedOut": {"customer_id": _CUSTOMER_ID, "erased_at": "2026-06-01T08:00:00Z", "orders": 1},
    "ExportOut": {"customer": _CUSTOMER, "orders": [_DETAIL]},
    "FulfilmentDetailOut": _FULFILMENT | {"status": "accepted", "order": {"status": "sourced", "queue": None}},
    "FulfilmentList": _page(_FULFILMENT),
    "InboundList": _page(_INBOUND),
    "InboundOut": _INBOUND,
    "ItemList": _page(_ITEM),
    "ItemOut": _ITEM,
    "ItemResults": {"results": [{"status": "created", "sku": "MUG-BLUE"}, _MISNAMED | {"sku": "PLATE-BLUE"}]},
    "Key": _KEY | {"revoked_at": "2026-06-01T08:00:00Z"},
    "Keys": _page(_KEY | {"revoked_at": None}),
    "HandedOver": {"key": "onh_unl8B9Xd-this-is-shown-only-once", "expires_at": "2026-03-02T21:15:15.743898+00:00"},
    "OwnKey": {"key_id": 2, "name": "web shop", "scopes": ["orders:write", "read"]},
    "LetterOut": {
        "message_id": 17, "order_id": _ORDER_ID, "to": "ada@example.org",
        "subject": "Your order 1001 will come later", "text": "Dear Ada, ...",
    },
    "ListingList": _page(_LISTING),
    "ListingOut": _LISTING,
    "JobAskedOut": {"job_id": _JOB_ID, "state": "queued"},
    "JobOut": _JOB,
    "JobList": _page(_JOB),
    "LaneProposalsOut": {
        "name": "standard",
        "proposals": [
            {
                "name": "standard", "version": 3, "against": 2, "at": _PLACED, "since": "2026-02-01T00:00:00Z",
                "until": _PLACED, "currency": "EUR", "floor_minor": 25.0, "orders": 18_220,
                "lanes": [
                    {"area": "DE-80", "way": "service", "name": "economy", "orders": 812, "others": 1_944,
                     "contrast_minor": 92.4, "error_minor": 14.1, "recent_minor": 96.0,
                     "mean_minor": 88.0, "low_minor": 70.6,
                     "is_avoided": True}
                ],
                "evidence": {
                    "metric": "All cost terms, with what lanes are known to cost beyond them", "baseline": 641.2,
                    "candidate": 633.9, "difference": -7.3, "low": -9.8, "high": -4.8, "orders": 4_871, "blocks": 30,
                    "carry_over": 0.04,
                },
                "state": "shadow", "share": None, "why": "lanes that cost more than they promise: 1 to be left alone",
            }
        ],
    },
    "LintOut": {"is_usable": False, "findings": [_FINDING]},
    "MarkdownList": _page(_MARKDOWN),
    "MarkdownResults": {
        "results": [
            {"status": "created", "sku": "MUG-BLUE", "node": "BERLIN"},
            _MISNAMED
            | {"sku": "PLATE-BLUE", "node": "BRELIN", "errors": [{"path": "node", "message": "no node 'BRELIN'"}]},
        ]
    },
    "MovedOut": {
        "name": "standard",
        "moves": [{"version": 2, "state": "canary", "share": 0.05, "why": "shadow saved 3 % over two weeks"}],
    },
    "NodeGroupList": _page(_GROUP),
    "NodeGroupOut": _GROUP,
    "NodeList": _page(_NODE),
    "NodeOut": _NODE,
    "NodeResults": {"results": [{"status": "created", "node": "BERLIN"}, _MISNAMED | {"node": "LYON"}]},
    "OrderAnswer": _ANSWER,
    "OrderDetailOut": _DETAIL,
    "PaymentDetailOut": _PAYMENT_DETAIL,
    "PaymentList": _page(_PAYMENT),
    "ReconciliationOut": _RECONCILIATION,
    "OrderList": _page(_BRIEF),
    "OrderOut": _ORDER,
    "PlanOut": _PLAN,
    "PlanRunOut": {"orders_considered": 148, "orders_moved": 12, "saving_minor": 3140, "gap": 0.0004},
    "PolicyList": _page(_POLICY),
    "PolicyOut": _POLICY | {"versions": [_BRIEF_VERSION, _FIRST_VERSION]},
    "PolicyVersionOut": _VERSION,
    "PromiseAnswer": {
        "options": [{"option": name} | _OFFER for name in ("cheapest", "fastest", "greenest")],
        "missing": {},
    },
    "Queued": {"queued": 3},
    "RejectedOut": _REFUSED_FULFILMENT
    | {"order": _ORDER | {"fulfilments": [_REFUSED_FULFILMENT, _REROUTED],
                          "promise": {"deliver_by": "2026-03-07T16:00:00Z"}}},
    "ReservationAnswer": {
        "reservation_id": _RESERVATION_ID, "expires_at": "2026-03-02T09:27:15Z", "lines": _HELD_LINES,
    },
    "ReservationOut": _RESERVATION,
    "ReturnOut": _RETURN | {"order_id": _ORDER_ID},
    "ShippedOut": _GONE | {"order": {"status": "shipped", "queue": None}, "shipment": _SHIPMENT},
    "GridOut": {
        "measure": "available", "items": 20418, "first": 0, "nodes": ["LYON", "BERLIN"],
        "rows": [
            {"sku": "MUG-BLUE", "units": [12, 37], "short": []}, {"sku": "PLATE", "units": [None, 0], "short": [1]}
        ],
    },
    "QueuesOut": {
        "as_of": _PLACED, "within_s": 86400,
        "queues": [
            {"queue": "rejected", "orders": 3, "oldest_at": _MONDAY, "past_due": 1, "promise_broken": 1,
             "next_due_at": _DELIVER_BY},
            {"queue": "backorder", "orders": 0, "oldest_at": None, "past_due": 0, "promise_broken": 0,
             "next_due_at": None},
        ],
        "to_ship": {"fulfilments": 214, "past_due": 6, "oldest_at": _MONDAY},
    },
    "FlowsOut": {
        "as_of": _PLACED, "orders": {"last_minute": 41, "last_hour": 2310, "by_minute": [38] * 59 + [41]},
        "since": _MONDAY,
        "flows": [
            {"node": "BERLIN", "country": "DE", "region": "BY", "orders": 118, "units": 301, "latitude": 48.63,
             "longitude": 11.72}
        ],
    },
    "ServiceLevelsOut": {
        "as_of": _PLACED, "promises": {"asked": 812, "p50_ms": 1.4, "p99_ms": 7.9, "over_s": 60.2},
        "channels": [
            {"channel": "market", "name": "Market", "status": "publishing", "listings": 4120, "verified": 4098,
             "staleness_p50_s": 41.5, "staleness_oldest_s": 903.0, "lag_p50_ms": 240.0, "lag_p99_ms": 1800.0,
             "queue_depth": 3}
        ],
    },
    "RepromisedOut": {
        "order_id": _ORDER_ID, "was": _DELIVER_BY, "deliver_by": "2026-03-06T16:00:00Z", "is_new": True,
        "is_dry_run": True,
        "message": {
            "subject": "Your order 1001 has a new delivery date",
            "text": "Dear {customer.name},\n\nyour order 1001 (2 x MUG-BLUE) will be with you by 2026-03-06 instead of"
            " 2026-03-04.\n",
        },
        "untold": None,
    },
    "StockList": _page(_STOCK),
    "Ways": {"issuer": "https://id.example.org/realms/shop"},
    "Webhook": _WEBHOOK,
    "Webhooks": _page(_WEBHOOK),
    "CarrierMessageList": _page(
        {"message_id": 712, "carrier": "POST", "status": "done", "received_at": "2026-03-03T04:12:38.1Z", "scans": 3,
         "skipped": 1, "error": None, "done_at": "2026-03-03T04:12:40.5Z"}
    ),
    "CarrierTrackingOut": _TRACKING,
    "TrackedShipmentList": _page(_TRACKED),
    "ShipmentDetailOut": _TRACKED
    | {
        "events": [
            {"milestone": "handed_over", "at": "2026-03-02T17:40:00Z", "place": None, "code": None, "text": None,
             "source": "webhook", "recorded_at": "2026-03-02T17:41:07.11Z"},
            {"milestone": "at_hub", "at": "2026-03-03T04:12:00Z", "place": {"name": "Leipzig", "country": "DE"},
             "code": "PCK", "text": "Processed in the parcel centre", "source": "webhook",
             "recorded_at": "2026-03-03T04:12:40.5Z"},
        ],
        "forecasts": [
            {"milestone": None, "due_at": _DELIVER_BY, "p_late": 0.11, "made_at": _SHIPPED,
             "p10": "2026-03-03T12:00:00Z", "p50": "2026-03-03T18:30:00Z", "p90": "2026-03-04T17:10:00Z",
             "p95": "2026-03-05T11:00:00Z"},
            _PREDICTION | {"milestone": "at_hub", "due_at": _DELIVER_BY, "p_late": 0.03},
        ],
    },
    "TrackingResults": {
        "results": [
            {"status": "created", "shipments": [f"{_ORDER_ID}-s1"]},
            {"status": "rejected", "shipments": [], "code": "input.invalid",
             "errors": [{"path": "milestone", "message": "input should be 'handed_over', ..."}]},
        ]
    },
    "TrialsOut": {
        "name": "standard",
        "trials": [
            {
                "state": "canary", "version": 2, "share": 0.05, "since": _PLACED,
                "outcomes": [
                    {"version": 2, "orders": 1204, "planned": 1180, "cost_per_order_minor": 571.2, "split_share": 0.041,
                     "late_share": 0.018, "co2_g_per_order": 812.5, "unfillable_share": 0.002},
                    {"version": 1, "orders": 22876, "planned": 22451, "cost_per_order_minor": 588.9,
                     "split_share": 0.063, "late_share": 0.017, "co2_g_per_order": 840.1, "unfillable_share": 0.002},
                ],
                "breach": None,
            }
        ],
    },
    "WrittenPolicyOut": _VERSION | {"state": "draft", "share": None, "why": None, "warnings": []},
}  # fmt: skip
"""By the name of the answer's schema."""

UNNAMED: dict[str, object] = {
    "/healthz": {"status": "ok"},
    "/metrics": "# HELP onhand_event_streams Open event streams.\n# TYPE onhand_event_streams gauge\n"
    "onhand_event_streams 2.0\n",
    "/v1/orders/batch": {"results": [_ANSWER, _REFUSED]},
    "/v1/stock/entries": {
        "results": [
            {"status": "applied", "entry_id": 1, "on_hand": 40, "available": 40},
            {"status": "rejected", "entry_id": None, "on_hand": None, "available": None, "code": "node.not_found",
             "message": "no node 'BRELIN'"},
        ]
    },
}  # fmt: skip
"""By path, where the answer's schema stands in the operation itself."""


def add_examples(path: str, operation: Json, schemas: Json) -> None:
    """Give the body and every 2xx answer of an operation an example, where there is none yet."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        _add(content, _of_model(content["schema"], schemas))
    for status, response in operation["responses"].items():
        if str(status).startswith("2"):
            for content in response.get("content", {}).values():
                schema = content["schema"]
                name = schema.get("$ref", "").rpartition("/")[2]
                _add(content, ANSWERS.get(name, UNNAMED.get(path)) or _of_model(schema, schemas))


def _add(content: Json, example: object) -> None:
    if example is not None and "example" not in content:
        content["example"] = example


def _of_model(schema: Json, schemas: Json) -> object:
    """The first example that the schema itself has; of an optional body, that of the body; of several kinds of body,
    that of the first."""
    for part in cast("list[Json]", schema.get("anyOf") or schema.get("oneOf") or [schema]):
        found = schemas.get(part.get("$ref", "").rpartition("/")[2], part)
        if "examples" in found:
            return found["examples"][0]
    return None
