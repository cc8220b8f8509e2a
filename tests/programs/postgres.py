#!/usr/bin/env python3
"""postgres: initdb, pgbench over many connections, sorting and hashing, restart, and the sums.

The server is a process per connection, all forked from one; what initdb and pg_ctl start is
another program. So every program has its own pool, and forked servers have private memory.
"""
import glob
import os
import signal
import subprocess

from pooled import Place, expect, expect_equal, need, skip, wait_until

QUERIES = """
CREATE TABLE t AS SELECT i, md5(i::text) AS m, i % 97 AS g FROM generate_series(1, 60000) i;
SELECT g, count(*), min(m), max(m) FROM t GROUP BY g ORDER BY g;
SELECT md5(string_agg(m, ',' ORDER BY m DESC)) FROM t;
SELECT count(*) FROM t a JOIN t b ON a.i = b.i + 1 WHERE a.m < b.m;
CREATE INDEX ON t (m); ANALYZE t;
SELECT m FROM t WHERE m LIKE 'abc%' ORDER BY m;
SELECT sum(length(j::text)) FROM (SELECT jsonb_build_object('i', i, 'm', m) j FROM t) x;
"""
SUMS = """
SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history),
       (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history),
       (SELECT count(*) FROM pgbench_history);
"""

binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
if not binaries:
    skip("postgresql is not installed")
tool = {name: os.path.join(binaries[-1], name)
        for name in ("initdb", "postgres", "pgbench", "psql", "createdb")}
need(*tool.values())


def serve(place, is_pooled):
    data, sock = place.path(f"data-{is_pooled}"), ["-h", place.files, "-U", "one"]
    place.succeed([tool["initdb"], "-D", data, "-U", "one", "-A", "trust", "--no-sync"], is_pooled)

    def start():
        server = place.start([tool["postgres"], "-D", data, "-k", place.files, "-c",
                              "listen_addresses=", "-c", "fsync=off"], is_pooled,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: place.run([tool["psql"], *sock, "-c", "SELECT 1", "postgres"],
                                     False)[0] == 0, "postgres' first answer", 60)
        return server

    def ask(sql):
        return place.succeed([tool["psql"], *sock, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                              "bench"], is_pooled, text=sql)

    server = start()
    place.succeed([tool["createdb"], *sock, "bench"], is_pooled)
    answers = [ask(QUERIES)]
    place.succeed([tool["pgbench"], *sock, "-i", "-q", "bench"], is_pooled)
    place.succeed([tool["pgbench"], *sock, "-c", "6", "-j", "2", "-t", "150", "bench"], is_pooled)
    answers.append(ask(SUMS))
    expect(place.stop(server, signal.SIGINT) == 0, "postgres did not end with status 0")
    server = start()
    answers.append(ask(SUMS))
    expect(place.stop(server, signal.SIGINT) == 0, "postgres did not end with status 0")
    return answers


with Place(children="inherit", user="postgres") as place:
    plain, pooled = serve(place, False), serve(place, True)
    expect_equal(plain, pooled, "answers")
    expect_equal(["t|t|900\n"] * 2, pooled[1:], "pgbench's sums")
    place.prove(at_least=100)
