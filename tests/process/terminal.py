"""Programs of a terminal: each life has another one. What was typed before a checkpoint is there
after the kill, the terminal is set as the program had set it, and it draws itself again."""
import fcntl
import os
import pty
import select
import struct
import termios
import time

from lives import LIMIT_S, Failure, WrongOutput, read, wait_until


class Terminal:
    """A new one, of a random size, whose output is read and kept."""

    def __init__(self, dice):
        self.master, self.slave = pty.openpty()
        self.shown = b""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", dice.randrange(20, 50), dice.randrange(60, 120), 0, 0))

    def look(self, for_s=0.0):
        while select.select([self.master], [], [], for_s)[0]:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.shown += chunk

    def type(self, text):
        os.write(self.master, text)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def wait(self, is_done, what):
        def look():
            self.look()
            return is_done()

        try:
            wait_until(look, what)
        except Failure as failure:
            raise Failure(f"{failure}; shown at last: {self.shown[-300:]}") from None

    def close(self):
        os.close(self.master)
        os.close(self.slave)


class Typed:
    """Lines are typed; in the end the file must hold them all."""

    def __init__(self, name, argv, files, end):
        self.name, self.argv, self.files, self.end = name, argv, files, end
        self.needs = (argv[0],)

    def storm(self, place, kills):
        place.env["TERM"] = "xterm"
        for name, text in self.files.items():
            place.write(name, text)
        self.lines, kills = [], place.share(kills)
        while True:
            terminal = Terminal(place.dice)
            life = place.start(self.argv, terminal=terminal.slave)
            life.wait_start()
            terminal.wait(lambda: terminal.is_raw() or life.has_ended(), "raw mode")
            terminal.wait(lambda: terminal.shown or life.has_ended(), "anything drawn")
            if place.kills == kills:
                break
            self.use(place, terminal)
            place.kill(life, place.dice.random() < 0.2)
            place.expect_killed(life)
            terminal.close()
        terminal.type(self.end)
        terminal.wait(life.has_ended, "its end")
        if life.process.returncode:
            raise Failure(f"status {life.process.returncode}: {terminal.shown[-500:]}")
        terminal.close()
        found = read(place.path("typed")).decode().split()
        if found != self.lines:
            raise WrongOutput(f"typed were {self.lines}, in the file are {found}")

    def use(self, place, terminal):
        """Each line is echoed when it has been taken in; then it is kept."""
        for _ in range(place.dice.randrange(1, 4)):
            line = f"line-{len(self.lines)}-{place.dice.randrange(10 ** 6)}"
            self.lines.append(line)
            terminal.shown = b""
            terminal.type(line.encode() + b"\r")
            terminal.wait(lambda: line.encode() in terminal.shown, "an echo")
        terminal.look(place.dice.random() * 0.1)
        place.checkpoint()


CURSES = """\
import curses
def main(screen):
    curses.echo(False); lines, line = [], ""
    while True:
        screen.erase(); rows, columns = screen.getmaxyx()
        for row, text in enumerate((lines + [line])[-(rows - 1):]): screen.addnstr(row, 0, text, columns - 1)
        screen.refresh(); key = screen.getch()
        if key == curses.KEY_RESIZE: curses.update_lines_cols(); continue
        if key == 4: break
        if key in (10, 13): lines.append(line); line = ""
        elif 32 < key < 127: line += chr(key)
    open("typed", "w").write("\\n".join(lines) + "\\n")
curses.wrapper(main)
"""


def programs():
    return [
        Typed("vim", ["vim", "-u", "NONE", "-N", "-n", "-i", "NONE", "+startinsert", "typed"], {},
              b"\x1b:wq\r"),
        Typed("curses", ["/usr/bin/python3", "script"], {"script": CURSES}, b"\x04"),
    ]
