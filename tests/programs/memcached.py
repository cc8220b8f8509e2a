#!/usr/bin/env python3
"""memcached: four worker threads, many clients; every value comes back as it was stored."""
import random
import socket
import threading

from pooled import Place, expect, expect_equal, need, wait_until

CLIENTS, KEYS = 6, 3000


def connect(path):
    try:
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.settimeout(60)
        return client
    except OSError:
        return None


def use(path, number, results):
    """One client's day; the answers depend on its number alone."""
    client, dice, answers = connect(path), random.Random(number), []
    file = client.makefile("rb")
    for i in range(KEYS):
        value = bytes([97 + i % 26]) * dice.randrange(1, 3000)
        client.sendall(b"set c%d:%d 7 0 %d\r\n%s\r\n" % (number, i, len(value), value))
        answers.append(file.readline())
        if i % 4 == 0:
            client.sendall(b"delete c%d:%d\r\n" % (number, dice.randrange(i + 1)))
            answers.append(file.readline())
        key = dice.randrange(i + 1)
        client.sendall(b"get c%d:%d\r\n" % (number, key))
        line = file.readline()
        if line.startswith(b"VALUE"):
            value = file.read(int(line.split()[3]) + 2)
            expect(value == bytes([97 + key % 26]) * (len(value) - 2) + b"\r\n", "a wrong value")
            answers.append((line, len(value)))
            line = file.readline()
        answers.append(line)
    results[number] = answers


def serve(place, is_pooled):
    path = place.path(f"socket-{is_pooled}")
    server = place.start([memcached, "-s", path, "-t", "4", "-m", "256", "-u", "root"], is_pooled)
    wait_until(lambda: connect(path), "memcached's first answer").close()
    results = {}
    clients = [threading.Thread(target=use, args=(path, n, results)) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(120)
    expect(len(results) == CLIENTS, "a client got no answer")
    if is_pooled:
        place.prove(at_least=500)
    expect(place.stop(server) == 0, "memcached did not end with status 0")
    return results


memcached = need("memcached")
with Place() as place:
    expect_equal(serve(place, False), serve(place, True), "memcached's answers")
