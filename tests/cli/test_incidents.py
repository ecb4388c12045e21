"""`onhand incidents`, as a user runs it, over a shop with one of everything that may go wrong."""

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.flows.incident_world import fill, noon

from onhand import cli
from onhand.flows.incidents.watch import Watch
from onhand.incidents import store

pytestmark = pytest.mark.broken_invariants  # the histories of that shop no flow has written

PAGE = Path(__file__).parents[2] / "docs/how-to/incidents.md"


@pytest.fixture
def incidents(capsys, monkeypatch, dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments):
        code = cli.run(["incidents", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_they_are_listed_shown_and_dismissed(db, incidents):
    code, said, _ = incidents("list")
    assert (code, said) == (0, "no open incidents\n")
    now = noon()
    fill(db, now)
    Watch(db, now=lambda: now).look(is_due=True)
    code, said, error = incidents("list")
    assert (code, error) == (0, "")
    heading, _, *rows = [line for line in said.splitlines() if line.strip()]
    assert heading.split() == ["id", "at", "risk", "sure", "since", "what", "why"]
    assert max(map(len, said.splitlines())) <= 140
    _is_as_the_page_has_it(db)
    (phantom,) = [row for row in rows if " phantom stock " in row]
    assert " EUR " in phantom and "A at berlin is recorded as there" in phantom
    short = phantom.split()[0]
    code, said, _ = incidents("show", short)
    assert code == 0 and said.startswith("phantom stock: item_node A/berlin  (")
    assert "count_gain_minor" in said
    code, said, _ = incidents("dismiss", short, "--reason", "being rebuilt")
    assert (code, said) == (0, "dismissed: phantom stock A/berlin\n")
    code, said, _ = incidents("list", "--status", "dismissed", "--json")
    (kept,) = json.loads(said)
    assert (kept["kind"], kept["reason"]) == ("phantom_stock", "being rebuilt")
    code, said, _ = incidents("show", short)
    assert "dismissed" in said and "being rebuilt" in said
    _run_what_the_page_says(incidents)
    code, _, error = incidents("show", "ffff")
    assert code == 1 and "ffff" in error
    assert incidents("show", "xy")[0] == 1
    assert incidents("list", "--kind", "flood")[0] == 2


def test_a_scan_looks_now_and_says_how_each_detector_fared(db, incidents):
    code, said, error = incidents("scan", "oversells", "demand_spikes")
    assert (code, error) == (0, "")
    assert "0 findings; incidents opened 0, closed 0" in said and "no stored forecast covers today" in said
    code, said, _ = incidents("scan", "oversells", "--json")
    assert json.loads(said)[0]["detector"] == "oversells"
    assert incidents("scan", "everything")[0] == 2
    with db.connect() as conn:
        conn.execute("SELECT pg_advisory_lock(hashtextextended('onhand incidents', 0))")
        code, said, _ = incidents("scan", "oversells")
        assert code == 1 and said.startswith("a worker is looking at this moment")


def _run_what_the_page_says(incidents):
    (commands,) = [block.partition("```")[0] for block in PAGE.read_text("utf-8").split("```sh\n")[1:]]
    first = re.findall(r"^ *([0-9a-f]{8}) ", incidents("list")[1], re.M)[0]
    for line in commands.replace("7d80c915", first).splitlines():
        code, said, error = incidents(*shlex.split(line, comments=True)[2:])
        assert (code, error) == (0, "") and said, line
    assert first in re.findall(r"^ *([0-9a-f]{8}) ", incidents("list", "--status", "dismissed")[1], re.M)


def _is_as_the_page_has_it(db):
    """The example of docs/how-to/incidents.md is the phantom of this shop."""
    (example,) = [block.partition("```")[0] for block in PAGE.read_text("utf-8").split("```json\n")[1:]]
    shown = json.loads(example)
    with db.connection() as conn:
        found = store.list_incidents(conn, main="EUR", limit=9, about="A", kind=shown["kind"])
    (kept,) = [one for one in found if one.cause == (shown["cause"]["what"], *shown["cause"]["key"])]
    assert (kept.status, kept.currency, kept.findings) == ("open", "EUR", 1)
    assert kept.loss_minor == pytest.approx(shown["loss_minor"], rel=0.02)
    assert kept.risk_minor == pytest.approx(shown["risk_minor"], rel=0.02)
