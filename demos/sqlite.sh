#!/bin/bash
# sqlite3, unmodified: a database in memory, and that memory in a pool
. "$(dirname "$0")/stage.sh"
need sqlite3

cat >script.sql <<'SQL'
PRAGMA temp_store = memory;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, weight REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
  INSERT INTO item SELECT i, 'item ' || (i * 7919 % 300007), i * 0.37 FROM n;
CREATE INDEX by_name ON item(name);
SELECT count(*), sum(weight) FROM item JOIN (SELECT id AS other FROM item) ON other = id * 2;
SELECT name, weight FROM item ORDER BY substr(name, 6) DESC, id LIMIT 1000;
PRAGMA integrity_check;
SQL

tell "300000 rows in a database that is in memory only; joined, sorted, checked:"
sqlite3 :memory: <script.sql >plain.out
show sh -c 'heapsake run -q -k none -p db.pool -s 1G -- sqlite3 :memory: <script.sql >pooled.out'
show heapsake info db.pool
show tail -n 1 pooled.out
claim "the same $(wc -l <plain.out) lines as without heapsake" cmp plain.out pooled.out
claim "the database's memory was in the file" test "$(stat -c %b db.pool)" -gt 20000

tell "The program has ended, and with keep=none that was all: the pool can go."
show heapsake rm db.pool
claim "the pool is gone" test ! -e db.pool
