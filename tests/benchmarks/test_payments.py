"""The benchmark of payments ends even, and would say so if it did not."""

from onhand.bench import payments as lives
from payments import measure  # pyright: ignore


def test_orders_end_even_and_all_of_it_happens():
    found = measure(300, 3)
    assert found["to_the_cent"]
    assert found["captures_less_refunds"] == found["shipped_less_returned"] > 0
    assert min(found[n] for n in ("refunded", "failures", "repeats", "never_paid", "with_returns", "with_cancels")) > 0


def test_a_cent_that_is_missing_is_told(monkeypatch):
    captured = lives.Life.look

    def look(life):
        found = captured(life)
        if life.sold.order_id == "o-7":
            life.payment = lives.replace(life.payment, invoiced=life.payment.invoiced + 1)
        return found

    monkeypatch.setattr(lives.Life, "look", look)
    monkeypatch.setattr(lives.Life, "settle", lambda _: None)
    assert not measure(10, 3)["to_the_cent"]
