"""docs/how-to/network-data.md: every request in it is taken, and does what the page says."""

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/network-data.md"
_REQUEST = re.compile(r"^<!-- request: (?P<method>\w+) (?P<path>\S+) -->\n```json\n(?P<body>.*?)^```$", re.M | re.S)


def test_every_request_of_the_page_is_taken(server):
    text = PAGE.read_text("utf-8")
    for sku in ("MUG-BLUE", "MUG-RED"):
        server.client.put(f"/v1/items/{sku}", json={"name": sku})
    requests = list(_REQUEST.finditer(text))
    assert len(requests) == text.count("```json") == 7
    for request in requests:
        answer = server.client.request(request["method"], request["path"], json=json.loads(request["body"]))
        assert answer.status_code in (200, 201), answer.text
        assert '"rejected"' not in answer.text, answer.text
    network = server.app.state.network
    assert network.carton_codes == ["M"]
    (node,) = network.node_ids.values()
    order, line, unit = (
        float(array[node])
        for array in (network.handling_minor, network.handling_line_minor, network.handling_unit_minor)
    )
    assert order + 2 * line + 3 * unit == pytest.approx(40 + 2 * 5 + 3 * 2 + 125, abs=0.5), "the sum on the page"
    assert network.service_co2.tolist() == pytest.approx([127.15 * 1.25])
    duties = network.duties
    assert duties.rate[duties.row("CH", "", 20_600), duties.node_origin[node], 0] == 0
    assert duties.fee[duties.row("CH", "", 20_600), duties.node_origin[node]] == 1900
    assert duties.fee[duties.row("PL", "", 20_600), duties.node_origin[node]] == 0
