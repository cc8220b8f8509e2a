"""Servers, and what their clients may rely on over a kill: what was answered before a checkpoint
is there, nothing is there that was never asked for, and what was changed together still agrees."""
import os
import socket
import struct
import subprocess
import time

from lives import LIMIT_S, Failure, WrongOutput, read, wait_until

LOAD_S = 0.2
QUIT_S = 60


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LIMIT_S)
    try:
        client.connect(path)
    except OSError:
        client.close()
        return None
    return client


class Server:
    """Lives of a server under load; begin() is asked for each connection's client."""

    needs = ()

    def __init__(self):
        self.needs = (self.name,)

    def storm(self, place, kills):
        state, kills = self.begin(place), place.share(kills)
        life = place.start(self.line(place))
        while True:
            life.wait_start()
            client = self.client(place, life)
            self.check(client, state, is_after_start=True)
            if not place.kills:
                place.checkpoint()  # that it has bound its socket is not to be done again
            if place.kills == kills:
                break
            self.load(place, client, state)
            place.kill(life, place.dice.random() < 0.2)
            client.close()
            place.expect_killed(life)
            life = place.start(self.line(place))
        self.quit(client, life)
        wait_until(life.has_ended, "the server's end", QUIT_S)

    def client(self, place, life):
        found = []

        def is_there():
            client = connect(place.path("socket"))
            if client:
                found.append(client)
            if life.has_ended():
                raise Failure(f"it ended with status {life.process.returncode}\n{life.tail()}")
            return client

        try:
            wait_until(is_there, "an answer")
        except Failure as failure:
            raise Failure(f"{failure}\n{life.portrait()}\n{life.tail()}") from None
        return self.talk(found[0])

    def load(self, place, client, state):
        """Requests, a checkpoint, then requests that may be lost; at last many at once, of which
        nobody waits for the answers."""
        until_s = time.monotonic() + place.dice.random() * LOAD_S
        while time.monotonic() < until_s:
            self.change(client, state)
        if place.dice.random() < 0.5:
            self.check(client, state)
            self.remember(state)
            place.checkpoint()
        until_s = time.monotonic() + place.dice.random() * LOAD_S
        while time.monotonic() < until_s:
            self.change(client, state)
        self.flood(client, state)

    def quit(self, client, life):
        life.kill()


class Resp:
    """A client of redis."""

    def __init__(self, connection):
        self.connection, self.file = connection, connection.makefile("rb")

    def send(self, *words):
        coded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.connection.sendall(b"*%d\r\n" % len(coded) +
                                b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in coded))

    def receive(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("redis closed a connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(f"redis: {rest}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        return rest

    def ask(self, *words):
        self.send(*words)
        return self.receive()

    def close(self):
        self.file.close()
        self.connection.close()


class Redis(Server):
    """Each change adds one to a, to b and to a list, and sets a key; by a script, so at once."""

    name = "redis-server"
    SCRIPT = ("local n = redis.call('incr', 'a') redis.call('incr', 'b') redis.call('rpush', 'l', n) "
              "redis.call('hset', 'h', 'f' .. n % 1000, n) "
              "redis.call('set', 'k' .. n, string.rep(n, 10)) return n")

    def begin(self, place):
        return {"sent": 0, "answered": 0, "kept": 0}

    def line(self, place):
        return ["redis-server", "--port", "0", "--unixsocket", place.path("socket"), "--save", "",
                "--appendonly", "no", "--io-threads", "2", "--dir", place.directory]

    def talk(self, connection):
        return Resp(connection)

    def change(self, client, state):
        state["sent"] += 1
        state["answered"] = client.ask("EVAL", self.SCRIPT, 0)
        if state["answered"] > state["sent"]:
            raise WrongOutput(f"{state}")

    def flood(self, client, state):
        for _ in range(50):
            state["sent"] += 1
            client.send("EVAL", self.SCRIPT, 0)

    def remember(self, state):
        state["kept"] = state["answered"]

    def check(self, client, state, is_after_start=False):
        a, b = (int(client.ask("GET", key) or 0) for key in ("a", "b"))
        length = client.ask("LLEN", "l")
        last = client.ask("LRANGE", "l", -1, -1)
        if not a == b == length or (a and last != [b"%d" % a]):
            raise WrongOutput(f"a {a}, b {b}, length {length}, last {last}")
        if client.ask("DBSIZE") != a + (4 if a else 0):
            raise WrongOutput(f"{client.ask('DBSIZE')} keys, a {a}")
        if a and client.ask("GET", f"k{a}") != b"%d" % a * 10:
            raise WrongOutput(f"k{a} is wrong")
        if not state["kept"] <= a <= state["sent"]:
            raise WrongOutput(f"{a} changes came back, of {state}")
        if is_after_start:
            state["answered"] = a
            state["sent"] = a

    def quit(self, client, life):
        client.send("SHUTDOWN", "NOSAVE")


class Lines:
    """A client of memcached."""

    def __init__(self, connection):
        self.connection, self.file = connection, connection.makefile("rb")

    def ask(self, line, data=None):
        self.connection.sendall(line + b"\r\n" + (b"" if data is None else data + b"\r\n"))
        return self.line()

    def line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("memcached closed a connection")
        return line[:-2]

    def get(self, key):
        head = self.ask(b"get " + key)
        if head == b"END":
            return None
        data = self.file.read(int(head.split()[3]) + 2)[:-2]
        if self.line() != b"END":
            raise WrongOutput(f"memcached: {key} has no end")
        return data

    def close(self):
        self.file.close()
        self.connection.close()


def memcached_value(number):
    return b"%d " % number * (1 + number * 7 % 300)


class Memcached(Server):
    """A value says by itself which change it is of. Each change sets one of 200 keys, and then
    the counter to its number; so a key's change is at most one ahead of it."""

    name = "memcached"
    KEYS = 200

    def begin(self, place):
        return {"sent": 0, "kept": 0}

    def line(self, place):
        return ["memcached", "-s", place.path("socket"), "-t", "4", "-m", "64", "-a", "0777",
                *(() if place.user or os.geteuid() else ("-u", "root"))]

    def talk(self, connection):
        return Lines(connection)

    def set(self, client, key, data):
        if client.ask(b"set %s 0 0 %d" % (key, len(data)), data) != b"STORED":
            raise Failure(f"memcached did not store {key}")

    def change(self, client, state):
        state["sent"] += 1
        self.set(client, b"k%d" % (state["sent"] % self.KEYS), memcached_value(state["sent"]))
        self.set(client, b"counter", b"%d" % state["sent"])

    def flood(self, client, state):
        pass

    def remember(self, state):
        state["kept"] = state["sent"]

    def check(self, client, state, is_after_start=False):
        counter = int(client.get(b"counter") or 0)
        if not state["kept"] <= counter <= state["sent"]:
            raise WrongOutput(f"counter {counter}, of {state}")
        for number in range(max(1, counter - self.KEYS + 2), counter + 1):
            data = client.get(b"k%d" % (number % self.KEYS))
            if data != memcached_value(number):
                raise WrongOutput(f"key {number % self.KEYS} is {data and data[:40]}, not of change "
                                  f"{number}, with counter {counter}")
        if is_after_start:
            state["sent"] = counter


class Nginx(Server):
    """One process, as its workers would be children."""

    name = "nginx"
    CONFIG = """\
daemon off; master_process off; error_log error.log; pid nginx.pid;
events { worker_connections 64; }
http {
    access_log off; keepalive_timeout 60; keepalive_requests 100000000;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    server { listen unix:socket; root .; location /echo { return 200 "$arg_x\\n"; } }
}
"""

    def begin(self, place):
        place.write("nginx.conf", self.CONFIG.replace("unix:socket", "unix:" + place.path("socket")))
        place.write("page", "".join(f"line {n}\n" for n in range(3000)))
        return {"sent": 0, "page": read(place.path("page"))}

    def line(self, place):
        return ["nginx", "-p", place.directory, "-c", place.path("nginx.conf"), "-e", "error.log"]

    def talk(self, connection):
        connection.sendall(b"")
        return Lines(connection)

    def get(self, client, path):
        client.connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        status, length = client.line(), None
        while line := client.line():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split()[1])
        if b" 200 " not in status or length is None:
            raise WrongOutput(f"nginx: {status}")
        return client.file.read(length)

    def change(self, client, state):
        state["sent"] += 1
        number = b"%d" % state["sent"]
        if self.get(client, b"/echo?x=" + number) != number + b"\n":
            raise WrongOutput("nginx answers something else")

    def flood(self, client, state):
        client.connection.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * 20)

    def remember(self, state):
        pass

    def check(self, client, state, is_after_start=False):
        if self.get(client, b"/page") != state["page"]:
            raise WrongOutput("nginx: the page is another")

    def quit(self, client, life):
        os.kill(life.process.pid, 15)


class Datagrams:
    """A client of a name server."""

    QUESTION = (struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\4host\4test\0" +
                struct.pack(">HH", 1, 1))
    TRIES, PATIENCE_S = 60, 1

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(self.PATIENCE_S)

    def ask(self):
        for _ in range(self.TRIES):
            try:
                self.socket.send(self.QUESTION)
                return self.socket.recv(500)[-4:]
            except ConnectionRefusedError:
                time.sleep(0.05)
            except TimeoutError:
                pass
        raise Failure("dnsmasq does not answer")

    def close(self):
        self.socket.close()


class Dnsmasq(Server):
    """It closes every descriptor that it did not open, ours among them."""

    name = "dnsmasq"
    ADDRESS = bytes((10, 1, 2, 3))

    def begin(self, place):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_port:
            any_port.bind(("127.0.0.1", 0))
            self.port = any_port.getsockname()[1]

    def line(self, place):
        return ["dnsmasq", "-k", "-p", str(self.port), "--no-resolv", "--no-hosts", "--no-daemon",
                "--listen-address=127.0.0.1", "--bind-interfaces", "--conf-file=/dev/null",
                "--address=/host.test/10.1.2.3", "--pid-file=", f"--user={place.user or 'root'}"]

    def client(self, place, life):
        return Datagrams(self.port)

    def change(self, client, state):
        self.check(client, state)

    def flood(self, client, state):
        pass

    def remember(self, state):
        pass

    def check(self, client, state, is_after_start=False):
        found = client.ask()
        if found != self.ADDRESS:
            raise WrongOutput(f"dnsmasq: {found}")

    def quit(self, client, life):
        os.kill(life.process.pid, 15)


def programs():
    return [Redis(), Memcached(), Nginx(), Dnsmasq()]
