"""The benchmark of publication runs, in small."""

from onhand.bench.publication import Options, run


def test_all_listings_are_told_and_sales_leave():
    said = []
    measures = run(Options(listings=1_000, channels=2, rate_per_s=50.0, seconds=0.5), say=said.append)
    assert len(said) == 3
    assert [m.unit for m in measures] == ["s", "listings/s", "listings/s", "s", "ms", "/s", "ms", "ms"]
    assert all(m.value > 0 for m in measures)
