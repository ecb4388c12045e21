import pytest

from onhand.db import queries


def blocks(tmp_path, text):
    (tmp_path / "queries.sql").write_text(text, "utf-8")
    return queries(str(tmp_path / "store.py"))


def test_blocks_come_by_name_without_comment_lines(tmp_path):
    sql = blocks(
        tmp_path,
        "-- The file's own words, 100 %.\n\n-- name: one\n-- why: 50 % of it\nSELECT '--kept';\n\n"
        "-- name: two\nSELECT %(x)s\n  -- inside\n  FROM t\n",
    )
    assert sql == {"one": "SELECT '--kept'", "two": "SELECT %(x)s\n  FROM t"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("SELECT 1", "at least one"), ("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;", "'a' comes twice")],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        blocks(tmp_path, text)
