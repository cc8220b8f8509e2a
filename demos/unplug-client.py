#!/usr/bin/env python3
"""The client of demos/unplug.sh that does not trust it.

It starts a server, sets keys in a fixed order, and remembers when each was acknowledged. When the
server is killed, it starts it again with the same command line and compares: what is there must
be exactly the first so many keys it has set, each with its value: the state of one instant.

usage: unplug-client.py [--seconds S] [--kills N] SOCKET POOL KEEPER...     the command line
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time

BATCH = 50


def value_of(number):
    return f"{number}:" + "v" * (number % 90)


def command(*words):
    parts = [f"*{len(words)}\r\n"]
    parts += [f"${len(word)}\r\n{word}\r\n" for word in words]
    return "".join(parts).encode()


def connect(path, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            connection.sendall(command("PING"))
            if connection.recv(7) == b"+PONG\r\n":
                return connection
        except OSError:
            pass
        if time.monotonic() > end:
            sys.exit(f"nobody answers at {path}")
        time.sleep(0.002)


def program_of(keeper):
    """The keeper's child is the first process of a namespace, and that one's is the program."""
    pid = keeper
    for _ in range(2):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            pid = int(children.read().split()[0])
    return pid


class Load:
    def __init__(self):
        self.acknowledged = []  # when, for the keys 1, 2, 3, ...
        self.found = 0  # the keys that were there after the last kill

    def set_keys(self, path, seconds):
        """Until the time is over; returns whether the server is still there."""
        connection = connect(path)
        answers = connection.makefile("rb")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            first = len(self.acknowledged) + 1
            connection.sendall(b"".join(command("SET", f"key:{n}", value_of(n))
                                        for n in range(first, first + BATCH)))
            for _ in range(BATCH):
                assert answers.readline() == b"+OK\r\n"
                self.acknowledged.append(time.monotonic())

    def verify(self, path):
        """What is there is a beginning of what was acknowledged. Its length."""
        connection = connect(path)
        answers = connection.makefile("rb")
        connection.sendall(command("DBSIZE"))
        count = int(answers.readline()[1:])
        assert count <= len(self.acknowledged) + BATCH, "more keys than were ever set"
        for first in range(1, count + 1, BATCH):
            numbers = range(first, min(first + BATCH, count + 1))
            connection.sendall(b"".join(command("GET", f"key:{n}") for n in numbers))
            for number in numbers:
                length = int(answers.readline()[1:])
                assert length >= 0, f"key:{number} of {count} is missing"
                found = answers.read(length + 2)[:-2].decode()
                assert found == value_of(number), f"key:{number} is {found}"
        return count


def info(pool):
    told = subprocess.run(["heapsake", "info", "--json", pool], capture_output=True, check=True)
    return json.loads(told.stdout)


def tell_tracker(pool):
    """Only a living program has one, from its first epoch on."""
    while not info(pool).get("tracker"):
        time.sleep(0.01)
    print("  which pages it stores to is known by " + {
        "userfaultfd": "userfaultfd WP_ASYNC",
        "soft-dirty": "soft-dirty bits, as this kernel\n  has no userfaultfd WP_ASYNC (Linux 6.7 "
                      "has): pauses are longer",
        "compare": "comparing all of them,\n  as this kernel has neither userfaultfd WP_ASYNC (Linux "
                   "6.7 has) nor soft-dirty bits:\n  pauses are longer, epochs rarer",
    }[info(pool)["tracker"]], flush=True)


def start(options):
    """Its output is none of ours: a resume cuts back what it wrote after the epoch."""
    return subprocess.Popen(options.keeper, stdout=subprocess.DEVNULL)


def cycle(load, options, keeper):
    is_first = not load.acknowledged
    load.set_keys(options.socket, options.seconds)
    if is_first:
        tell_tracker(options.pool)
    os.kill(program_of(keeper.pid), signal.SIGKILL)
    killed = time.monotonic()
    keeper.wait(20)
    epoch = info(options.pool)["epoch"]
    keeper = start(options)
    connect(options.socket).close()
    resumed = time.monotonic()
    count = load.verify(options.socket)
    assert count >= load.found, f"{count} keys are there, and {load.found} were an epoch before"
    load.found = count
    acknowledged = len(load.acknowledged)
    age_ms = (killed - load.acknowledged[count - 1]) * 1000 if count else 0
    print(f"  killed after {acknowledged} acknowledged keys; it answers again "
          f"{(resumed - killed) * 1000:.0f} ms later, {age_ms:.0f} ms of work were lost", flush=True)
    print(f"  all {count} keys of epoch {epoch} present", flush=True)
    del load.acknowledged[count:]
    return keeper


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("socket")
    parser.add_argument("pool")
    parser.add_argument("keeper", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    keeper = start(options)
    load = Load()
    try:
        for _ in range(options.kills):
            keeper = cycle(load, options, keeper)
        assert load.found, "no key was ever there again"
    finally:
        keeper.terminate()
        keeper.wait(20)


if __name__ == "__main__":
    main()
