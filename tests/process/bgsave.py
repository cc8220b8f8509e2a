"""Redis with its snapshots: a child that writes the dump is often there when it is killed, and comes
back dead. Redis must hear of that, and its next snapshot must be whole."""
import subprocess

from lives import WrongOutput, wait_until
from servers import QUIT_S, Redis, Resp, connect

SLOW_US = 300  # a key: a snapshot takes as long as a life


class Saving(Redis):
    name = "redis-bgsave"

    def __init__(self):
        super().__init__()
        self.needs = ("redis-server",)

    def begin(self, place):
        self.place = place
        return super().begin(place)

    def line(self, place):
        return [*super().line(place), "--rdb-key-save-delay", str(SLOW_US), "--rdbcompression", "no",
                "--stop-writes-on-bgsave-error", "no"]

    def is_saving(self, client):
        return b"rdb_bgsave_in_progress:1" in client.ask("INFO", "persistence")

    def save(self, client):
        """Begins a snapshot, unless one is under way."""
        if not self.is_saving(client):
            client.ask("BGSAVE")

    def load(self, place, client, state):
        self.save(client)
        place.checkpoint()  # with the child in it, most of the time
        super().load(place, client, state)

    def check(self, client, state, is_after_start=False):
        super().check(client, state, is_after_start)
        if is_after_start:
            wait_until(lambda: not self.is_saving(client), "redis hears that its child is dead")

    def quit(self, client, life):
        client.ask("CONFIG", "SET", "rdb-key-save-delay", "0")
        self.save(client)
        wait_until(lambda: not self.is_saving(client), "the last snapshot", QUIT_S)
        if b"rdb_last_bgsave_status:ok" not in client.ask("INFO", "persistence"):
            raise WrongOutput("the last snapshot failed")
        changes = int(client.ask("GET", "a") or 0)
        super().quit(client, life)
        wait_until(life.has_ended, "the server's end", QUIT_S)
        self.check_dump(changes)

    def check_dump(self, changes):
        """What a redis without heapsake finds in it."""
        plain = subprocess.Popen(super().line(self.place), cwd=self.place.directory,
                                 stdout=subprocess.DEVNULL, **self.place.identity(has_output=False))
        try:
            wait_until(lambda: self.is_loaded(changes), "a plain redis", QUIT_S)
        finally:
            plain.kill()
            plain.wait()

    def is_loaded(self, changes):
        connection = connect(self.place.path("socket"))
        if not connection:
            return False
        client = Resp(connection)
        try:
            if b"loading:1" in client.ask("INFO", "persistence"):
                return False
            super().check(client, {"sent": changes, "kept": changes})
        finally:
            client.close()
        return True


def programs():
    return [Saving()]
