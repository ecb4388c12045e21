def test_transact_commits(db):
    db.transact(lambda conn: conn.execute("INSERT INTO setting VALUES ('x', '1')"))
    with db.connection() as conn:
        assert conn.execute("SELECT value FROM setting WHERE name = 'x'").fetchone() == (1,)
