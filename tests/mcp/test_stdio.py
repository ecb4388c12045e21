"""`onhand mcp` and `onhand serve` as programs: the protocol's own client at the other end."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager

import anyio
import httpx2
import pytest
from mcp import StdioServerParameters, types

from onhand.cli import run
from onhand.mcp.server import CONFIRM_WRITE

from .conftest import ALL, does, fails, meet, open_shop, talk
from .conftest import Place as Served

PROGRAM = [sys.executable, "-c", "from onhand.cli import main; main()"]
DEAR = {"channel": "web", "lines": [{"sku": "MUG", "quantity": 20}]}


@contextmanager
def serving(dsn, home):
    """`onhand serve` as a process of its own."""
    env = os.environ | {"ONHAND_DATABASE_URL": dsn, "ONHAND_HOME": str(home), "NO_COLOR": "1"}
    command = [*PROGRAM, "serve", "--port", "0", "--worker-apart"]
    with subprocess.Popen(command, env=env, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while "onhand listens" not in said:
                line = process.stdout.readline()
                assert line, f"it ended: {said}"
                said += line
            key = re.search(r"shown this once: (\S+)", said)[1]
            url = re.search(r"listens on (\S+)", said)[1]
            with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
                while not _is_ready(http):
                    anyio.run(anyio.sleep, 0.05)
                yield Served(url, None, http)
        finally:
            process.terminate()
            process.wait(30)
            assert process.returncode == 0


def _is_ready(http):
    try:
        return http.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def program(key, *options, **env):
    """How a client starts `onhand mcp`."""
    return StdioServerParameters(
        command=sys.executable,
        args=[*PROGRAM[1:], "mcp", *options],
        env={**os.environ, "ONHAND_API_KEY": key, **env},
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_of_this_machine(place, tmp_path, mode):
    """Both eras of the protocol ask a person through the client."""
    questions = []

    async def ask(_, params):
        questions.append(params.message)
        return types.ElicitResult(action="accept", content={"confirm": True})

    async def visit(client):
        assert (client.protocol_version < "2026") is (mode == "legacy")
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "get-orders" in names and CONFIRM_WRITE in names
        found = await does(client, "search_stock", sku="MUG")
        assert sum(row["available"] for row in found["data"]) == 200
        await does(client, "reserve_stock", **DEAR)
        assert (await fails(client, "get_order", order_id="none"))["code"] == "order.not_found"

    key = place.key(*ALL)
    anyio.run(lambda: meet(program(key, "--url", place.base_url), visit, mode=mode, elicitation_callback=ask))
    assert questions == ["An agent wants to hold 20 units of 1 items for 900 seconds (250.00 EUR). Shall it?"]
    assert sum(row["allocated"] for row in place.call("GET", "/v1/stock?sku=MUG")["data"]) == 20


def test_programs_of_their_own(dsn, tmp_path):
    with serving(dsn, tmp_path) as served:
        open_shop(served)
        key = served.key(*ALL)

        async def over_stdio(client):
            # The limit of this machine's own settings: twenty units are not dear any more.
            held = await does(client, "reserve_stock", **DEAR)
            assert served.call("GET", f"/v1/reservations/{held['reservation_id']}")["status"] == "active"

        async def over_http(client):
            asked = await fails(client, "reserve_stock", **DEAR, ttl_s=60)
            assert asked["facts"]["confirm_above_minor"] == 10_000
            assert (await does(client, "get-inventory", skus=["MUG"]))["inventory"][0]["available"] == 180

        options = ("--url", served.base_url, "--confirm-above-minor", "100000")
        anyio.run(lambda: meet(program(key, *options), over_stdio))
        talk(served.url, key, over_http)


def test_what_is_wrong_at_the_start_is_told_on_one_line(place, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def told(code, *options, key):
        monkeypatch.setenv("ONHAND_API_KEY", key)
        assert run(["mcp", *options]) == code
        out, err = capsys.readouterr()
        # What goes to standard output is the protocol's.
        assert out == "" and err.count("\n") == 1
        return err

    assert "not valid" in told(1, "--url", place.base_url, key="onh_wrong")
    assert "is `onhand serve` running there?" in told(1, "--url", "http://127.0.0.1:9", key="x")
    assert "ONHAND_API_KEY" in told(2, key="")
