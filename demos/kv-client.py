#!/usr/bin/env python3
"""The client of demos/kv.c that does not trust it.

It starts the server, lets clients change keys of their own, remembers what was acknowledged, kills
the server with SIGKILL, starts it again, and compares: each key has the value acknowledged last,
or the one it had asked for and not heard about when the server died. Again and again.

usage: kv-client.py [--kills N] [--clients N] SOCKET SERVER...     the server's command line
"""
import argparse
import random
import socket
import subprocess
import threading
import time

KEYS_EACH = 200


class Client:
    """One connection; `known` are its keys' last acknowledged values, None: none."""

    def __init__(self, number):
        self.number = number
        self.known = {}
        self.asked = None  # (key, value) on its way
        self.changes = 0
        self.acknowledged = 0

    def work(self, connection):
        """Until the server dies."""
        try:
            with connection, connection.makefile("r") as answers:
                while True:
                    self.change(connection, answers)
        except OSError:
            pass
        except EOFError:
            pass

    def change(self, connection, answers):
        self.changes += 1
        key = f"key:{self.number}:{random.randrange(KEYS_EACH)}"
        value = None
        if random.random() < 0.8:
            value = f"{self.changes}:" + "v" * random.randrange(300)
        self.asked = key, value
        line = f"SET {key} {value}\n" if value else f"DEL {key}\n"
        connection.sendall(line.encode())
        answer = answers.readline()
        if not answer.endswith("\n"):
            raise EOFError
        assert answer == "OK\n", f"{line}: {answer}"
        self.known[key] = value
        self.acknowledged += 1
        self.asked = None

    def verify(self, connection):
        """What is there is what was acknowledged, or what was on its way."""
        with connection.makefile("r") as answers:
            for number in range(KEYS_EACH):
                key = f"key:{self.number}:{number}"
                connection.sendall(f"GET {key}\n".encode())
                answer = answers.readline()
                there = None if answer == "none\n" else answer[1:-1]
                fine = {self.known.get(key)}
                if self.asked and self.asked[0] == key:
                    fine.add(self.asked[1])
                assert there in fine, f"{key} is {there!r}; acknowledged was {fine}"
                self.known[key] = there
        self.asked = None


def connect(path, server):
    """Waits for the server, of which it is known that it comes up at once or never."""
    for _ in range(6000):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            assert server.poll() is None, f"the server ended: {server.returncode}"
            time.sleep(0.01)
    raise AssertionError("the server does not answer")


def live(options, clients, lifetime_s):
    """One life of the server: verify everything, then work until it is killed."""
    server = subprocess.Popen(options.server, stderr=subprocess.DEVNULL)
    try:
        with connect(options.socket, server) as connection:
            for client in clients:
                client.verify(connection)
        threads = [threading.Thread(target=client.work, args=[connect(options.socket, server)])
                   for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(lifetime_s)
        assert server.poll() is None, f"the server ended by itself: {server.returncode}"
    finally:
        server.kill()
        server.wait()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("socket")
    parser.add_argument("server", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    clients = [Client(number) for number in range(options.clients)]
    told = 0
    for kill in range(options.kills + 1):
        is_last = kill == options.kills
        live(options, clients, 0 if is_last else random.uniform(0.02, 0.5))
        told, before = sum(client.acknowledged for client in clients), told
        if options.kills <= 20 and not is_last:
            print(f"kill -9, number {kill + 1}: {told - before} changes acknowledged, {told} in all",
                  flush=True)
    keys = sum(value is not None for client in clients for value in client.known.values())
    assert told, "nothing was acknowledged: nothing has been shown"
    print(f"{options.kills} kills, {told} changes acknowledged, {keys} keys: lost 0", flush=True)


main()
