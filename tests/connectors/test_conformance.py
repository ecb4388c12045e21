"""Every connector stands every case of the kit; one without a bench fails, unless it is named here with a reason."""

import asyncio
import importlib

import pytest

from onhand.connectors import find, names
from onhand.connectors._sdk.conformance import CASES, Grade, abilities, examine

WITHOUT_A_BENCH: dict[str, str] = {}


def bench_of(name):
    """The maker of a connector's bench; None if there is none."""
    try:
        return importlib.import_module(f".conformance.{name}", __package__).make
    except ModuleNotFoundError as error:
        if error.name and error.name.endswith(f".{name}"):
            return None
        raise


def status_of(connector):
    document = getattr(connector, "document", None)
    return getattr(connector, "status", None) or ("alpha" if document is None else document.status)


JOINED = [name for name in names() if name not in WITHOUT_A_BENCH]


@pytest.mark.parametrize("name", JOINED)
def test_every_connector_has_a_bench(name):
    assert bench_of(name) is not None, f"add conformance/{name}.py, or say in WITHOUT_A_BENCH why there is none"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", JOINED)
def test_it_stands_the_case(name, case):
    connector, make = find(name).connector, bench_of(name)
    result = asyncio.run(examine(connector, make, CASES[case]))
    if result.grade is Grade.FAILED:
        raise AssertionError(f"{CASES[case].promise} {result.why}") from result.error
    if result.grade is Grade.NOT_FOR_IT:
        pytest.skip(f"{name} cannot {', '.join(sorted(CASES[case].needs - abilities(connector)))}")
    if result.grade in (Grade.EXCUSED, Grade.MISSING):
        assert result.grade is Grade.EXCUSED or status_of(connector) == "alpha", (
            f"{name} is not alpha, and {result.why}"
        )
        pytest.skip(f"{name}: {result.why}")
