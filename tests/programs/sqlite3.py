#!/usr/bin/env python3
"""sqlite3: a large script in memory and in a file; sorting, joins, recursion, integrity."""
from pooled import Place, expect, need

SCRIPT = """
PRAGMA cache_size = -4000;
PRAGMA temp_store = memory;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, weight REAL, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
  INSERT INTO item SELECT i, 'item ' || (i * 7919 % 60013), i * 0.37, zeroblob(i % 300) FROM n;
CREATE INDEX by_name ON item(name);
CREATE TABLE pair AS SELECT a.id AS a, b.id AS b FROM item a JOIN item b ON b.id = a.id * 2;
SELECT name, weight FROM item ORDER BY substr(name, 6) DESC, id LIMIT 500;
SELECT count(*), sum(length(body)), group_concat(id % 10, '') FROM item WHERE id % 7 = 3;
UPDATE item SET name = upper(name) WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SELECT count(*), sum(a * b % 1009) FROM pair JOIN item ON item.id = pair.a;
SELECT json_group_array(json_object('id', id, 'name', name)) FROM item WHERE id < 500;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), min(name), max(name), total(weight) FROM item;
SELECT * FROM missing;
"""

sqlite3 = need("sqlite3")
with Place() as place:
    in_memory = place.same([sqlite3, ":memory:"], text=SCRIPT, status=1)
    expect("\nok\n" in in_memory, "integrity_check did not say ok")

    for name, is_pooled in (("plain.db", False), ("pooled.db", True)):
        status, out, _ = place.run([sqlite3, name], is_pooled, text=SCRIPT)
        expect((status, out) == (1, in_memory), f"{name} is not what was there in memory")
    dumps = [place.succeed([sqlite3, name, ".dump"], is_pooled)
             for name, is_pooled in (("plain.db", True), ("pooled.db", False))]
    expect(dumps[0] == dumps[1], "the two databases differ")
    place.prove(at_least=200)
