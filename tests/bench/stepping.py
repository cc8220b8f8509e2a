"""Unmodified programs that do a step for each line they read and then say one: sqlite3, python3."""
import os
import shutil
import sys
import time

import kept
import turns

ROWS_A_STEP = 2000
ENTRIES_A_STEP = 2000
# sqlite3 writes into a pipe only when its buffer is full; what .once has opened is closed at once.
SAY_NEWEST = '.once /dev/fd/1\nselect max(id) from rows;'
TABLE = '''create table rows(id integer primary key, name text, amount real);
create index rows_name on rows(name);'''


def insert(rows):
    return ('insert into rows(name, amount) select hex(randomblob(12)), random() from '
            f'generate_series(1, {rows});')


class Stepper(kept.Child):
    """items_a_step: what is counted. Each step leaves as much as it has found."""

    def __init__(self, build, words, keeping, items_a_step, step, variables=()):
        super().__init__(build, words, keeping, variables)
        self.items_a_step, self.step = items_a_step, step

    def turn(self, seconds):
        """Steps for a while: items a second, and how long the steps took."""
        took_s, began_s = [], time.monotonic()
        now_s = began_s
        while now_s < began_s + seconds:
            self.say(self.step)
            self.line()
            took_s.append(time.monotonic() - now_s)
            now_s += took_s[-1]
        return len(took_s) * self.items_a_step / (now_s - began_s), turns.waits_of(took_s)


def missing_sqlite():
    return None if shutil.which('sqlite3') else 'no sqlite3 (Debian: apt-get install sqlite3)'


def sqlite(build, keeping, rows):
    """A table in memory, indexed by a random column: rows come, and as many of the oldest go."""
    step = (f'{insert(ROWS_A_STEP)}\ndelete from rows where id <= (select max(id) from rows) - {rows};\n'
            f'{SAY_NEWEST}')
    child = Stepper(build, ['sqlite3', ':memory:'], keeping, ROWS_A_STEP, step)
    child.say(f'{TABLE}\n{insert(rows)}\n{SAY_NEWEST}')
    child.line()
    return child


def python(build, keeping, entries, variables=()):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'programs', 'lists.py')
    child = Stepper(build, [sys.executable, script, str(entries), str(ENTRIES_A_STEP)], keeping,
                    ENTRIES_A_STEP, '', variables)
    child.line()
    return child
