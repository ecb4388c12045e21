"""Duties and taxes: each rate is the one found by reading the rules in order; rows and classes only ever grow."""

import threading
from datetime import date, timedelta
from importlib.metadata import EntryPoint
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from onhand.base.dates import EPOCH
from onhand.network import duties
from onhand.network.duties import DutyTable, Rate, TaxProvider, installed_provider

COUNTRIES = ["DE", "FR", "CH", "US"]
REGIONS = ["", "CA", "NY", "ZH"]
HS_CODES = [None, "6109.10", "6204 62", "8517", "61"]
CATEGORIES = [None, "clothing", "phones"]
FIRST = date(2026, 1, 1)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def rule(code: str, **says: Any) -> dict[str, Any]:
    return {"code": code, "valid_from": "2026-01-01"} | says


def due(
    table: DutyTable,
    to: tuple[str, str],
    origin: str,
    *,
    goods: tuple[str | None, str | None] = (None, None),
    on: str = "2026-06-01",
) -> tuple[float, float, float]:
    """(rate, de minimis, fee) of some goods from a country."""
    row, c, o = table.row(*to, day(on)), table.class_of(*goods), table.origins.index(origin)
    return float(table.rate[row, o, c]), float(table.de_minimis[row, o]), float(table.fee[row, o])


# What a rule says ---------------------------------------------------------------------------------


def test_without_rules_there_is_nothing_to_pay_and_nothing_to_look_up() -> None:
    table = DutyTable([], ["", "DE", "FR"])
    assert not table.has_duties
    assert (table.row("US", "CA", 20_000), table.class_of("6109", "clothing")) == (0, 0)
    assert table.classes_of([("6109", None), (None, None)]).tolist() == [0, 0]
    assert not table.rate.any() and not table.de_minimis.any() and not table.fee.any()
    assert table.node_origin.tolist() == [table.origins.index(c) for c in ("", "DE", "FR")]
    assert (table.rate.shape, table.fee.shape) == ((1, 3, 1), (1, 3))


def test_tax_is_levied_on_the_value_with_the_duty_and_only_what_is_lost_counts() -> None:
    rates = {"duty_rate": 0.1, "duty_recoverable_share": 0.25, "tax_rate": 0.2, "unrecoverable_share": 0.5}
    table = DutyTable([rule("a", **rates, de_minimis_minor=2_000, fee_minor=700)], ["", "DE", "CH"])
    assert due(table, ("CH", ""), "DE") == (pytest.approx(0.075 + 1.1 * 0.2 * 0.5), 2_000, 700)


def test_a_rule_without_origins_is_for_imports_and_one_with_them_also_for_home() -> None:
    table = DutyTable(
        [
            rule("import", duty_rate=0.1),
            rule("nexus", from_countries=["US"], to_countries=["US"], to_regions=["CA"], tax_rate=0.07,
                 unrecoverable_share=1.0),
        ],
        ["", "US", "DE"],
    )  # fmt: skip
    assert due(table, ("US", "CA"), "DE")[0] == 0.1
    assert due(table, ("US", "CA"), "US")[0] == pytest.approx(0.07)
    assert due(table, ("US", "US-CA"), "US")[0] == pytest.approx(0.07), "as ISO 3166-2 writes it"
    assert due(table, ("US", "NY"), "US")[0] == 0
    assert due(table, ("DE", ""), "DE")[0] == 0


def test_regions_of_a_rule_may_name_their_country() -> None:
    table = DutyTable([rule("a", to_regions=["US-CA"], duty_rate=0.1)], ["DE"])
    assert due(table, ("US", "CA"), "DE")[0] == due(table, ("US", "US-CA"), "DE")[0] == 0.1
    assert due(table, ("CH", "CA"), "DE")[0] == 0


def test_the_lowest_priority_counts_and_then_the_code() -> None:
    table = DutyTable(
        [
            rule("b", hs_prefixes=["61"], duty_rate=0.2),
            rule("z", priority=5, hs_prefixes=["6109"], duty_rate=0.3),
            rule("a", hs_prefixes=["6"], duty_rate=0.1),
        ],
        ["DE"],
    )
    assert due(table, ("CH", ""), "DE", goods=("6109.10", None))[0] == 0.3
    assert due(table, ("CH", ""), "DE", goods=("61 10", None))[0] == 0.1
    assert due(table, ("CH", ""), "DE", goods=("7", None))[0] == 0


def test_threshold_and_fee_are_those_of_the_rule_for_all_goods() -> None:
    shoes = rule("a", hs_prefixes=["64"], duty_rate=0.2, de_minimis_minor=1, fee_minor=2)
    rest = rule("b", duty_rate=0.1, de_minimis_minor=300, fee_minor=400)
    assert due(DutyTable([shoes, rest], ["DE"]), ("CH", ""), "DE", goods=("64", None)) == (0.2, 300, 400)
    assert due(DutyTable([shoes], ["DE"]), ("CH", ""), "DE") == (0, 1, 2)


def test_rules_count_from_their_first_day_to_their_last() -> None:
    rules = [
        rule("old", valid_until="2026-06-30", duty_rate=0.1),
        rule("new", valid_from="2026-07-01", duty_rate=0.2),
    ]
    table = DutyTable(rules, ["DE"])
    days = ["2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01", "2099-01-01"]
    assert [due(table, ("CH", ""), "DE", on=on)[0] for on in days] == [0, 0.1, 0.1, 0.2, 0.2]
    rows = {table.row("CH", "", day("2026-01-01") + n) for n in range(400)}
    assert len(rows) == 2, "days between which nothing changes share a row"


# All of it against a search through the documents -------------------------------------------------


def some(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.sampled_from(values), max_size=2)


RATES = st.sampled_from([0.0, 0.05, 0.2])
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "valid_from": st.integers(-20, 20).map(lambda n: (FIRST + timedelta(days=n)).isoformat()),
            "duty_rate": RATES,
        },
        optional={
            "priority": st.integers(0, 2),
            "from_countries": some(COUNTRIES),
            "to_countries": some(COUNTRIES),
            "to_regions": some(["CA", "NY", "US-CA"]),
            "hs_prefixes": some(["6", "61.09", "8517"]),
            "categories": some(["clothing", "phones"]),
            "valid_until": st.none() | st.integers(0, 40).map(lambda n: (FIRST + timedelta(days=n)).isoformat()),
            "tax_rate": RATES,
            "unrecoverable_share": st.sampled_from([0.0, 0.5, 1.0]),
            "de_minimis_minor": st.integers(0, 3),
            "fee_minor": st.integers(0, 3),
        },
    ),
    max_size=6,
).map(lambda rules: [{"code": f"r{n}"} | rule for n, rule in enumerate(rules)])
QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from(COUNTRIES),
        st.sampled_from(REGIONS),
        st.integers(-30, 60),
        st.sampled_from(HS_CODES),
        st.sampled_from(CATEGORIES),
    ),
    min_size=1,
    max_size=30,
)


def searched(
    rules: list[dict[str, Any]], origin: str, to: tuple[str, str], on: date, goods: tuple[str | None, str | None]
) -> tuple[float, float, float]:
    """The first rule that matches, by its words."""
    country, region = to
    hs_code, category = goods

    def is_on_the_way(r: dict[str, Any]) -> bool:
        until = r.get("valid_until")
        return (
            date.fromisoformat(r["valid_from"]) <= on
            and (until is None or on <= date.fromisoformat(until))
            and (origin in r["from_countries"] if r.get("from_countries") else origin != country)
            and (not r.get("to_countries") or country in r["to_countries"])
            and (not r.get("to_regions") or {region, f"{country}-{region}"} & set(r["to_regions"]))
        )

    def is_for(r: dict[str, Any]) -> bool:
        if r.get("categories") and category not in r["categories"]:
            return False
        wanted = [p.replace(".", "") for p in r.get("hs_prefixes") or ()]
        bare = (hs_code or "").replace(".", "").replace(" ", "")
        return not wanted or any(bare.startswith(p) for p in wanted)

    ways = sorted(filter(is_on_the_way, rules), key=lambda r: (r.get("priority", 100), r["code"]))
    named = next(filter(is_for, ways), None)
    general = next((r for r in ways if not r.get("hs_prefixes") and not r.get("categories")), None)
    deciding = general or (ways[0] if ways else {})
    rate = 0.0
    if named is not None:
        tax = named.get("tax_rate", 0) * named.get("unrecoverable_share", 0)
        rate = named["duty_rate"] + (1 + named["duty_rate"]) * tax
    return rate, deciding.get("de_minimis_minor", 0), deciding.get("fee_minor", 0)


@given(RULES, QUESTIONS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_rates_are_those_of_a_search_through_the_rules(
    rules: list[dict[str, Any]], questions: list[tuple[str, str, int, str | None, str | None]], rng: Random
) -> None:
    countries = ["", *rng.sample(COUNTRIES, 3)]
    table = DutyTable(rules, countries)
    found: list[tuple[int, int]] = []
    for country, region, offset, hs_code, category in questions:
        row = table.row(country, region, day("2026-01-01") + offset)
        found.append((row, table.class_of(hs_code, category)))
    # All at the end: what came later must not have changed what was there.
    for (row, c), (country, region, offset, hs_code, category) in zip(found, questions, strict=True):
        for node, origin in enumerate(countries):
            o = table.node_origin[node]
            if not origin:  # an id without a node
                assert table.rate[row, o, c] == 0
                continue
            wanted = searched(rules, origin, (country, region), FIRST + timedelta(days=offset), (hs_code, category))
            assert table.rate[row, o, c] == pytest.approx(wanted[0])
            assert (table.de_minimis[row, o], table.fee[row, o]) == wanted[1:]


def test_goods_and_places_that_no_rule_tells_apart_share_a_class_and_a_row() -> None:
    rules = [rule("a", to_countries=["CH"], hs_prefixes=["61"], duty_rate=0.1), rule("b", categories=["phones"])]
    table = DutyTable(rules, ["DE", "FR"])
    classes = {table.class_of(f"6{n % 10}{n}", c) for n in range(1_000) for c in (None, "shoes", "phones")}
    assert classes == {0, 1, 2, 3}
    rows = {table.row(country, f"R{n}", day("2026-01-01") + n) for country in COUNTRIES for n in range(500)}
    assert len(rows) == 4, "where phones are at home, at home in the other country, abroad, and Switzerland"
    assert table.rate.shape == (8, 2, 4)


def test_rows_and_classes_found_by_several_threads_at_once_stay_apart() -> None:
    rules = [
        rule(f"{a}{b}", to_regions=[f"R{a}"], hs_prefixes=[f"{b:02}"], duty_rate=a / 100 + b / 10_000)
        for a in range(40)
        for b in range(40)
    ]
    table = DutyTable(rules, ["DE"])
    wrong: list[tuple[int, int]] = []
    start = threading.Barrier(6)

    def look(seed: int) -> None:
        pairs = [(a, b) for a in range(40) for b in range(40)]
        Random(seed).shuffle(pairs)
        start.wait()
        for a, b in pairs:
            row, c = table.row("CH", f"R{a}", day("2026-06-01")), table.class_of(f"{b:02}", None)
            if abs(table.rate[row, 0, c] - (a / 100 + b / 10_000)) > 1e-12:
                wrong.append((a, b))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# Providers ----------------------------------------------------------------------------------------


class Engine:
    """A tax engine: knows some rates, fails for some countries, counts what it is asked."""

    def __init__(self, known: dict[tuple[str, str, str | None], Rate], failing: tuple[str, ...] = ()) -> None:
        self.known = known
        self.failing = failing
        self.asked: list[tuple[str, str, str, str | None, str | None, date]] = []

    def rates(
        self, from_country: str, to_country: str, to_region: str, hs_code: str | None, category: str | None, on: date
    ) -> Rate | None:
        self.asked.append((from_country, to_country, to_region, hs_code, category, on))
        if to_country in self.failing:
            raise TimeoutError("no answer")
        return self.known.get((from_country, to_country, hs_code))


RULE = rule("table", duty_rate=0.5, fee_minor=9)


def test_a_provider_decides_on_the_rates_it_knows() -> None:
    engine: TaxProvider = Engine({("DE", "CH", "6109"): Rate(duty_rate=0.02)})
    table = DutyTable([RULE], ["", "DE", "FR"], engine)
    assert due(table, ("CH", ""), "DE", goods=("6109", "x")) == (0.02, 0, 9)
    assert due(table, ("CH", ""), "DE", goods=("6110", "x"))[0] == 0.5, "goods it does not know"
    assert due(table, ("CH", ""), "FR", goods=("6109", "x"))[0] == 0.5, "from where it does not know"
    assert DutyTable([], ["DE"], engine).has_duties


def test_a_provider_that_fails_is_logged_once_a_row_and_the_rules_count() -> None:
    engine = Engine({}, failing=("CH",))
    table = DutyTable([RULE], ["DE", "FR", "US"], engine)
    table.classes_of([("6109", None), ("8517", None)])
    before = len(engine.asked)
    with capture_logs() as logged:
        assert due(table, ("CH", ""), "US", goods=("6109", None))[0] == 0.5
    assert len(engine.asked) == before + 1, "not asked again after it failed"
    assert [(entry["log_level"], entry["country"]) for entry in logged] == [("warning", "CH")]
    assert "no answer" in logged[0]["error"]
    with capture_logs() as logged:
        assert due(table, ("US", "NY"), "DE", goods=("6109", None))[0] == 0.5
    assert [(entry["log_level"], entry["rates"]) for entry in logged] == [("info", 9)]


def test_a_provider_with_impossible_rates_counts_as_failed() -> None:
    class Broken:
        def rates(self, *what: object) -> Rate | None:
            return Rate(duty_rate=float("nan"))

    with capture_logs() as logged:
        assert due(DutyTable([RULE], ["DE"], Broken()), ("CH", ""), "DE")[0] == 0.5
    assert "expected rates" in logged[0]["error"]


def test_a_provider_is_asked_once_a_destination_and_day_and_equal_days_share_a_row() -> None:
    known: dict[tuple[str, str, str | None], Rate] = {("DE", "CH", None): Rate(duty_rate=0.02)}
    engine = Engine(known)
    table = DutyTable([], ["DE"], engine)
    rows = [table.row("CH", "ZH", 20_000 + n) for n in (0, 0, 1, 2)]
    assert len(engine.asked) == 3
    assert [asked[5] for asked in engine.asked] == [EPOCH + timedelta(days=20_000 + n) for n in range(3)]
    assert len(set(rows)) == 1
    known["DE", "CH", None] = Rate(duty_rate=0.03)
    changed = table.row("CH", "ZH", 20_003)
    assert changed not in rows
    assert (table.rate[rows[0], 0, 0], table.rate[changed, 0, 0]) == (0.02, 0.03)
    known["DE", "CH", "6109"] = Rate(duty_rate=0.04)
    assert table.rate[changed, 0, table.class_of("6109", None)] == pytest.approx(0.04), "goods that come later, too"


def test_strangers_regions_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "ASKED_MAX", 20)
    table = DutyTable([RULE], ["DE"], Engine({("DE", "CH", None): Rate(duty_rate=0.02)}))
    rates = [due(table, ("CH", f"R{n}"), "DE")[0] for n in range(100)]
    assert rates == [0.02] * 20 + [0.5] * 80
    assert len(table.rate) <= 64


class Installed:
    """Stands for a package that offers a provider."""

    def rates(self, *what: object) -> Rate | None:
        return Rate(duty_rate=0.01) if what[1] == "CH" else None


class Other:
    """Stands for another one."""

    def rates(self, *what: object) -> Rate | None:
        return Rate(duty_rate=0.07)


def test_providers_are_found_by_entry_point_and_asked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [
            EntryPoint("b", f"{here}:Other", group),
            EntryPoint("broken", f"{here}:Nowhere", group),
            EntryPoint("a", f"{here}:Installed", group),
        ]

    monkeypatch.setattr(duties, "entry_points", entry_points)
    installed_provider.cache_clear()
    try:
        with capture_logs() as logged:
            provider = installed_provider()
        table = DutyTable([], ["DE"], provider)
        assert (due(table, ("CH", ""), "DE")[0], due(table, ("US", ""), "DE")[0]) == (0.01, 0.07)
        assert [entry["provider"] for entry in logged] == ["broken"]
    finally:
        installed_provider.cache_clear()


def test_arrays_are_plain_numbers_for_the_solver() -> None:
    table = DutyTable([RULE], ["", "DE"])
    table.row("CH", "", 20_700)
    assert {array.dtype for array in (table.rate, table.de_minimis, table.fee)} == {np.dtype(np.float64)}
    assert (table.node_origin.dtype, table.classes_of([]).dtype) == (np.dtype(np.int32), np.dtype(np.int32))
