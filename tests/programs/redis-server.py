#!/usr/bin/env python3
"""redis-server: a client's work, DEBUG RELOAD, and BGSAVE, which forks the whole heap.

The fork moves both sides to private memory (keep=none); the data must be the same before and
after, in the parent, in what the child wrote, and in a server that never knew a pool.
"""
import random
import signal
import socket
import subprocess

from pooled import Place, expect, expect_equal, need, wait_until

KEYS = 20000


class Client:
    """The redis protocol, as much of it as is needed here."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def send(self, *words):
        encoded = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(encoded) +
                            b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"-":
            return "error: " + rest.decode()
        return int(rest) if kind == b":" else rest.decode()

    def ask(self, *words):
        self.send(*words)
        return self.reply()


def connect(path):
    try:
        client = Client(path)
        return client if client.ask("PING") == "PONG" else None
    except OSError:
        return None


def work(client):
    """The same for every server: all replies, and the digest of all data at the end."""
    dice, replies = random.Random(1), []
    for i in range(KEYS):
        replies.append(client.ask("SET", f"key:{i}", "v" * dice.randrange(1, 400)))
        replies.append(client.ask("INCRBY", f"counter:{i % 97}", i))
        replies.append(client.ask("RPUSH", f"list:{i % 301}", f"element {i}"))
        replies.append(client.ask("HSET", f"hash:{i % 53}", f"field:{i}", i))
        replies.append(client.ask("ZADD", "ranking", dice.random(), f"member:{i}"))
        if i % 3 == 0:
            replies.append(client.ask("DEL", f"key:{dice.randrange(i + 1)}"))
        if i % 5 == 0:
            replies.append(client.ask("APPEND", f"key:{i}", "tail" * 20))
    replies.append(client.ask("LRANGE", "list:7", 0, -1))
    replies.append(client.ask("ZRANGE", "ranking", 0, 50, "WITHSCORES"))
    replies.append(client.ask("SORT", "list:9", "ALPHA", "DESC"))
    replies.append(client.ask("EVAL", "local t = {} for i = 1, 9999 do t[i] = 'x' .. i end "
                              "return #table.concat(t)", 0))
    return replies


def background_save(client):
    """Forks; the parent goes on writing while the child reads."""
    expect(client.ask("BGSAVE").startswith("Background saving started"), "BGSAVE refused")
    for i in range(3000):
        client.ask("SET", f"during:{i}", "w" * 200)

    def is_saved():
        return b"rdb_bgsave_in_progress:0" in client.ask("INFO", "persistence")
    wait_until(is_saved, "the end of BGSAVE")
    expect(b"rdb_last_bgsave_status:ok" in client.ask("INFO", "persistence"), "BGSAVE failed")


def serve(place, is_pooled):
    sock = place.path(f"socket-{is_pooled}")
    log = open(place.path(f"log-{is_pooled}"), "wb")
    server = place.start([redis, "--port", "0", "--unixsocket", sock, "--save", "", "--dir",
                          place.files, "--dbfilename", f"{is_pooled}.rdb",
                          "--enable-debug-command", "local", "--daemonize", "no"],
                         is_pooled, stdout=log, stderr=subprocess.STDOUT)
    client = wait_until(lambda: connect(sock), "redis-server's first answer")
    replies = work(client)
    before = client.ask("DEBUG", "DIGEST")
    expect(client.ask("DEBUG", "RELOAD") == "OK", "DEBUG RELOAD failed")
    expect_equal(before, client.ask("DEBUG", "DIGEST"), "digest before and after DEBUG RELOAD")
    background_save(client)
    background_save(client)
    replies += [client.ask("GET", f"during:{i}") for i in range(0, 3000, 7)]
    after = client.ask("DEBUG", "DIGEST")
    if is_pooled:
        place.prove(at_least=1000)
    client.ask("FLUSHALL")
    expect(client.ask("DBSIZE") == 0, "FLUSHALL left keys")
    expect(place.stop(server, signal.SIGTERM) == 0, "redis-server did not end with status 0")
    return replies, before, after


redis = need("redis-server")
with Place() as place:
    plain = serve(place, False)
    pooled = serve(place, True)
    for what, one, other in zip(("replies", "digest", "digest at the end"), plain, pooled):
        expect_equal(one, other, what)
