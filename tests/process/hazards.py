"""What may happen to a pool, or to a program, between two lives: the right output or a refusal that
names the reason, and never a wrong output."""
import os
import shutil
import subprocess

from lives import Failure, Restarted, WrongOutput, read, wait_until
from zoo import Program

BLOCK = 4096
CORRUPT, INCOMPATIBLE = 4, 5


def blocks(path):
    """{offset: bytes} of a sparse file."""
    found = {}
    with open(path, "rb", buffering=0) as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            os.lseek(file.fileno(), at, os.SEEK_SET)
            while at < end:
                block = file.read(BLOCK)
                if block.strip(b"\0"):
                    found[at] = block
                at += BLOCK
    return found


def copy(source, target):
    subprocess.run(["cp", "--sparse=always", "--preserve=ownership,mode", source, target], check=True)


class Lasting(Program):
    """pi under another name, as a file of its own."""

    def __init__(self, name):
        super().__init__(name, ["pi"], is_built=True)

    def line(self, place):
        return [place.path("program")]

    def live(self, place):
        """An epoch at least, and a kill; False if it has ended."""
        life = place.start(self.line(place))
        life.wait_start()
        wait_until(lambda: place.epoch() or life.has_ended(), "an epoch")
        place.let_live(life)
        if not place.kill(life):
            return False
        return not place.expect_killed(life)


class Damaged(Lasting):
    """Blocks that the last life has written are torn, flipped or lost."""

    def storm(self, place, kills):
        shutil.copy(os.path.join(place.options.programs, "zoo-pi"), place.path("program"))
        wanted = self.undisturbed(place)
        if not self.live(place):
            return
        before = blocks(place.pool)
        if not self.live(place):
            return
        after = blocks(place.pool)
        fresh = [at for at, block in after.items() if before.get(at) != block]
        if not fresh:
            return
        output, whole = read(place.path("out")), place.pool + ".whole"
        copy(place.pool, whole)
        for _ in range(place.share(kills)):
            copy(whole, place.pool)
            with open(place.path("out"), "r+b") as file:
                file.truncate(0)
                file.write(output)
            self.damage(place, [place.dice.choice(fresh) for _ in range(place.dice.choice((1, 1, 3)))])
            self.expect_right_or_refusal(place, wanted)
            place.kills += 1

    def damage(self, place, chosen):
        with open(place.pool, "r+b", buffering=0) as file:
            for at in chosen:
                block = bytearray(os.pread(file.fileno(), BLOCK, at))
                how = place.dice.randrange(3)
                if how == 0:
                    block[place.dice.randrange(BLOCK)] ^= 1 << place.dice.randrange(8)
                elif how == 1:
                    torn = place.dice.randrange(8) * 512
                    block[torn:] = bytes(BLOCK - torn)
                else:
                    block = bytes(BLOCK)
                os.pwrite(file.fileno(), block, at)

    def expect_right_or_refusal(self, place, wanted):
        place.starts = place.newest = 0
        life = place.start(self.line(place))
        status = life.bury()
        if status == CORRUPT and b"heapsake: refused: " in life.said():
            place.refusals += 1
            return
        if status:
            raise Failure(f"damaged, it ended with status {status}\n{life.tail()}")
        self.compare(place, wanted)


class Replaced(Lasting):
    """Another program under its name: it is refused; with the right one back, it goes on. When it
    has ended it begins anew."""

    def storm(self, place, kills):
        shutil.copy(os.path.join(place.options.programs, "zoo-pi"), place.path("program"))
        wanted = self.undisturbed(place)
        try:
            self.replace(place, kills)
        except Restarted as restart:
            self.expect_had_ended(place, restart, wanted)
        else:
            if not read(place.path("out")).endswith(wanted["out"]):
                raise WrongOutput("the output is another")

    def replace(self, place, kills):
        is_killed = self.live(place)
        while is_killed:
            os.rename(place.path("program"), place.path("right"))
            shutil.copy(os.path.join(place.options.programs, "zoo-counter"), place.path("program"))
            life = place.start(self.line(place))
            status = life.bury()
            if status != INCOMPATIBLE or place.path("program").encode() not in life.said():
                raise Failure(f"another binary: status {status}\n{life.tail()}")
            place.refusals += 1
            os.rename(place.path("right"), place.path("program"))
            if place.kills >= place.share(kills):
                break
            is_killed = self.live(place)
        life = place.start(self.line(place))
        if not is_killed:  # it was too quick, and this is the next one
            place.starts = 0
        self.expect_end(life)


def programs():
    return [Damaged("damaged"), Replaced("replaced")]
