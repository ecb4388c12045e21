"""examples/add_a_channel.md, run as it stands against a server and a market; and the kit, on what it describes."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from tests.cli.test_serve import running
from tests.connectors.running import serving

from onhand.connectors import for_channel, read_text
from onhand.connectors._sdk.conformance import CASES, Bench, Delivery, Grade, InProcess, examine
from onhand.twin.fakes.market import Market

PAGE = Path(__file__).parents[2] / "examples" / "add_a_channel.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
(DOCUMENT,) = [text for kind, text in BLOCKS if kind == "yaml"]
(CHANNEL,) = [text for kind, text in BLOCKS if kind == "json"]
COMMANDS = "".join(text for kind, text in BLOCKS if kind == "sh")

pytestmark = pytest.mark.xdist_group("examples")


def wait_until_ready(url):
    """It does not listen before it has read its state."""
    for _ in range(600):
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.ConnectError:
            pass
        threading.Event().wait(0.1)
    raise AssertionError("the server did not become ready")


def test_a_marketplace_is_added_to_a_running_system(dsn, tmp_path):
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            pytest.skip(f"NOT RUN: there is no {tool}")
    market = Market()
    ref = market.offer("MUG-BLUE")
    key = "an-admin-key-for-this-test-only"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "onhand").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from onhand.cli import main; main()" "$@"\n'
    )
    (programs / "onhand").chmod(0o755)
    environ = os.environ | {
        "ONHAND_DATABASE_URL": dsn, "ONHAND_HOME": str(tmp_path), "ONHAND_ADMIN_KEY": key, "ONHAND_KEY": key,
        "ONHAND_ALLOW_PRIVATE_URLS": "true", "NO_COLOR": "1", "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    with serving(market.app()) as market_url, running(environ, "serve", "--port", "0") as server:
        url = server.wait_for(r"(http://127\.0\.0\.1:\d+)")[1]
        wait_until_ready(url)
        # The server runs, and only now is there such a kind of channel.
        folder = tmp_path / "connectors" / "harbour"
        folder.mkdir(parents=True)
        (folder / "connector.yaml").write_text(DOCUMENT)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", COMMANDS],
            env=environ | {"ONHAND_URL": url, "HARBOUR_URL": market_url},
            cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + "".join(server.lines)
    assert "1 connector is fit for use" in done.stdout
    assert "listings.pull: 1 read, 0 not understood" in done.stdout
    assert "1 read: 1 listed" in done.stdout
    assert "Harbour Market shows 40\n" in done.stdout
    assert "harbour" in done.stdout.partition("shows 40")[2]
    assert market.offers[ref]["units"] == 40
    assert "harbour-key" not in done.stdout + "".join(server.lines), "a secret was shown"


def test_it_is_less_than_sixty_lines_and_no_program():
    assert DOCUMENT.count("\n") < 60
    assert {kind for kind, _ in BLOCKS} == {"console", "yaml", "sh", "json"}
    assert "python" not in COMMANDS


def test_a_shop_like_many_others_is_a_channel():
    channel = json.loads(CHANNEL)
    connector = for_channel(channel["connector"], channel["settings"])
    assert connector.capabilities == for_channel("rest_generic", {}).capabilities - {"orders.cancel"}
    document = connector.document
    assert document.operations["stock.push"].request.path == "/levels"
    assert document.maps["order"].status.table["in_picking"] == "open"


class HarbourBench(Bench):
    page = 100
    signed_by = "hook_secret"

    def __init__(self):
        self.market = Market(key="harbour-0f8e7d6c5b4a", hook_secret="hook-3c2b1a09f8e7")
        credentials = {"api_key": self.market.key, "hook_secret": self.market.hook_secret}
        super().__init__({"url": "http://harbour.test"}, credentials)

    def sender(self):
        return InProcess(self.market.app())

    def offer(self, sku, units):
        return self.market.offer(sku, units)

    def show(self, external_id, units):
        self.market.offers[external_id]["units"] = units

    def withdraw(self, external_id):
        del self.market.offers[external_id]

    def buy(self, lines, *, at=None):
        return self.market.buy(lines, at=at)["ref"]

    def change(self, order_id, *, at=None):
        self.market.orders[order_id]["touched"] = int((at or datetime.now(UTC)).timestamp() * 1000)

    def say(self, order_id, word):
        self.market.orders[order_id]["state"] = word

    def spoil(self, order_id):
        self.market.orders[order_id]["rows"] = "none"

    def message(self, order_id, *, secret=None):
        kept = self.market.hook_secret
        self.market.hook_secret = kept if secret is None else secret
        headers, body = self.market.deliver(self.market.orders[order_id])
        self.market.hook_secret = kept
        return Delivery(headers=headers, body=body)

    def shown(self, external_id):
        return self.market.offers[external_id]["units"]

    def is_cancelled(self, order_id):
        return self.market.orders[order_id]["state"] == "void"

    def parcels(self, order_id):
        return [parcel["number"] for parcel in self.market.orders[order_id]["parcels"]]


@pytest.mark.parametrize("case", CASES)
def test_what_the_page_describes_stands_the_kit(case):
    result = asyncio.run(examine(read_text(DOCUMENT), HarbourBench, CASES[case]))
    if result.grade is Grade.FAILED:
        raise AssertionError(f"{CASES[case].promise} {result.why}") from result.error
    assert result.grade in (Grade.PASSED, Grade.NOT_FOR_IT), result.why
