"""Signatures agree with the vectors of Standard Webhooks."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onhand.webhooks import signing

# Independent vectors are not part of this repository: the variable says where they are.
VECTORS = Path(os.environ.get("ONHAND_CONTRACTS", "../shared/contracts")) / "standard-webhooks" / "vectors.json"


def sign(vector):
    now = datetime.fromtimestamp(vector["timestamp"], UTC)
    return signing.headers(vector["secret"], vector["id"], vector["body"].encode(), now)["webhook-signature"]


def test_a_signature_is_that_of_the_specification():
    vector = {
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "timestamp": 1614265330,
        "body": '{"test": 2432232314}',
    }
    assert sign(vector) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_signatures_agree_with_independent_vectors():
    if not VECTORS.exists():
        pytest.skip(f"INDEPENDENT VECTORS NOT CHECKED: no {VECTORS}; set ONHAND_CONTRACTS to the folder of contracts")
    vectors = json.loads(VECTORS.read_text("utf-8"))["vectors"]
    assert any(v["valid_if_clock_ignored"] for v in vectors)
    for vector in vectors:
        assert (sign(vector) == vector["signature"]) == vector["valid_if_clock_ignored"]


def test_secrets_are_long_enough_and_different():
    first, second = signing.new_secret(), signing.new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(first) > 30
