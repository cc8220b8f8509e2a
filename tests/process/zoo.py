"""The table of programs that end by themselves and always write the same."""
import functools
import os
import subprocess
import time

from lives import LIMIT_S, Failure, Restarted, WrongOutput, read


class Program:
    """What to start, in a directory of its own; `files` are written there first (texts, or what
    makes them), `outputs` are compared at the end, besides stdout."""

    def __init__(self, name, argv, files=None, outputs=(), stdin=None, needs=(), is_built=False):
        self.name, self.argv, self.files = name, list(argv), files or {}
        self.outputs, self.stdin = ("out",) + tuple(outputs), stdin
        self.needs = tuple(needs) or (() if is_built else (self.argv[0],))
        self.is_built = is_built
        self.runs = {}  # undisturbed ones, by user

    def line(self, place):
        if not self.is_built:
            return self.argv
        return [os.path.join(place.options.programs, "zoo-" + self.argv[0])] + self.argv[1:]

    def open_stdin(self, place):
        return open(place.path(self.stdin), "rb") if self.stdin else None

    def undisturbed(self, place):
        """{output: bytes} of a run without heapsake, by the same user; the first round makes it."""
        if place.user not in self.runs:
            self.runs[place.user] = self.run_alone(place)
        wanted, length_s = self.runs[place.user]
        place.expect_length(length_s)
        return wanted

    def run_alone(self, place):
        """What it wrote, and how long it took."""
        stdin = self.open_stdin(place) or subprocess.DEVNULL
        began_s = time.monotonic()
        done = subprocess.run(self.line(place), cwd=place.directory, env=place.env, stdin=stdin,
                              stderr=subprocess.PIPE, timeout=LIMIT_S, **place.identity())
        length_s = time.monotonic() - began_s
        if done.returncode:
            raise Failure(f"undisturbed: status {done.returncode}\n{done.stderr.decode()}")
        wanted = {}
        for name in self.outputs:
            with open(place.path(name), "rb") as file:
                wanted[name] = file.read()
            os.remove(place.path(name))
        return wanted, length_s

    def storm(self, place, kills):
        for name, text in self.files.items():
            place.write(name, text() if callable(text) else text)
        wanted = self.undisturbed(place)
        try:
            self.live(place, place.share(kills))
        except Restarted as restart:
            self.expect_had_ended(place, restart, wanted)
        else:
            self.compare(place, wanted)

    def expect_had_ended(self, place, restart, wanted):
        place.end()
        has_begun = place.resumes or restart.life.said_before
        if has_begun and not read(place.path("out")).startswith(wanted["out"]):
            raise WrongOutput(f"{restart}\n{place.lives[-1].tail()}") from None

    def live(self, place, kills):
        life = place.start(self.line(place), self.open_stdin(place))
        while place.kills < kills:
            following = self.live_and_die(place, life)
            if not following:
                break
            life = following
        self.expect_end(life)

    def live_and_die(self, place, life):
        """Its next life, or None if this one ended by itself."""
        dice = place.dice
        if dice.random() < 0.8:
            life.wait_start()
        place.let_live(life)
        if life.has_ended() or not place.kill(life, dice.random() < 0.2):
            return None
        following = place.start(self.line(place), self.open_stdin(place)) if dice.random() < 0.5 else None
        if place.expect_killed(life):
            if following:
                raise Restarted(following, "it ended by itself while it was killed")
            return None
        return following or place.start(self.line(place), self.open_stdin(place))

    def expect_end(self, life):
        try:
            status = life.bury()
        except Restarted:
            raise
        except Failure as failure:
            raise Failure(f"{failure}\n{life.portrait()}\n{life.tail()}") from None
        if status:
            tail = ""
            for name in self.outputs:
                ending = read(life.place.path(name))[-300:]
                tail += f"{name} ends: {ending.decode(errors='replace')}\n"
            raise Failure(f"it ended with status {status}\n{life.tail()}\n{tail}")

    def compare(self, place, wanted):
        for name, right in wanted.items():
            found = read(place.path(name))
            if found == right:
                continue
            with open(place.path(name + ".wanted"), "wb") as file:
                file.write(right)
            lines, rights = found.split(b"\n"), right.split(b"\n")
            first = next((n for n, pair in enumerate(zip(lines, rights)) if pair[0] != pair[1]),
                         min(len(lines), len(rights)))
            raise WrongOutput(f"{name}: {len(found)} bytes, not {len(right)}; line {first + 1} is "
                              f"{lines[first:first + 1]}, not {rights[first:first + 1]}")


SQL = """\
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);
CREATE INDEX i ON t(b);
""" + "".join(f"""\
WITH RECURSIVE n(x) AS (SELECT {step * 1000} UNION ALL SELECT x + 1 FROM n WHERE x < {step * 1000 + 999})
INSERT INTO t SELECT x, printf('%08x', x * 2654435761 % 4294967296), x * 0.37 FROM n;
UPDATE t SET c = c + 1 WHERE a % 7 = {step % 7};
DELETE FROM t WHERE a % 13 = {step % 13} AND a < {step * 1000 - 20000};
SELECT {step}, count(*), sum(c), min(b), max(b) FROM t;
""" for step in range(120)) + "SELECT * FROM t WHERE a % 5000 = 1;\n"

PYTHON = """\
import collections, queue, random, threading
dice = random.Random(7)
todo, done = queue.Queue(50), queue.Queue()

def work(number):
    local, seen = random.Random(number), {}
    while (item := todo.get()) is not None:
        step, text = item
        seen[text] = seen.get(text, 0) + step
        done.put((step, sum(ord(c) for c in text * 20) + len(seen) * 0))
    done.put((None, number))

def steps():
    for step in range(120000):
        yield step, "".join(dice.choice("abcdef") for _ in range(1 + step % 5))

workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for worker in workers: worker.start()
sums, words, ended = collections.Counter(), {}, 0
feed = steps()
waiting = 0
for step, text in feed:
    todo.put((step, text)); waiting += 1
    words.setdefault(text, []).append(step)
    while waiting > 40:
        number, value = done.get(); sums[number % 10] += value; waiting -= 1
    if step % 4000 == 0: print(step, len(words), flush=True)
for _ in workers: todo.put(None)
while waiting or ended < 3:
    number, value = done.get()
    if number is None: ended += 1
    else: sums[number % 10] += value; waiting -= 1
for worker in workers: worker.join()
print(sorted(sums.items()), sorted(words.items())[-3:], dice.random())
"""

ASYNCIO = """\
import asyncio, random
dice = random.Random(3)
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper()); await writer.drain()
    writer.close()
async def tick(number, box):
    for step in range(60):
        await asyncio.sleep(0.002 * (number % 5 + 1))
        box[number] = box.get(number, 0) + step
async def chain(source, sink):
    while (item := await source.get()) is not None: await sink.put(item * 2 + 1)
    await sink.put(None)
async def main():
    box, queues = {}, [asyncio.Queue(5) for _ in range(20)]
    ticks = [asyncio.create_task(tick(n, box)) for n in range(50)]
    chains = [asyncio.create_task(chain(a, b)) for a, b in zip(queues, queues[1:])]
    async def feed():
        for number in range(300):
            await queues[0].put(dice.randrange(1000))
            if number % 10 == 0: await asyncio.sleep(0.01)
        await queues[0].put(None)
    feeding = asyncio.create_task(feed())
    total, count = 0, 0
    while (item := await queues[-1].get()) is not None:
        total, count = total * 3 + item & 0xffffffff, count + 1
        if count % 50 == 0: print(count, total, flush=True)
    await asyncio.gather(*ticks, *chains, feeding)
    print(sorted(box.items()), total)
asyncio.run(main())
"""

PERL = """\
use strict; $| = 1;
my (%count, @list, $text); my $x = 1;
for my $step (1 .. 1000000) {
    $x = ($x * 1103515245 + 12345) & 0x7fffffff;
    my $word = join '', map { chr(97 + ($x >> $_) % 26) } 3, 7, 11;
    $count{$word} += $step; push @list, $word if $step % 3 == 0; shift @list if @list > 3000;
    $text .= $word if $step % 5 == 0; $text =~ s/^.*?e// if length($text // '') > 2000;
    printf "%d %d %s\\n", $step, scalar keys %count, $list[-1] // '' if $step % 25000 == 0;
}
print join(',', map { "$_=$count{$_}" } (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 20]), "\\n";
local $_ = join '', @list; my $n = () = /([aeiou])[^aeiou]+\\1/g; print "$n\\n";
"""

LUA = """\
local words, x = {}, 1
local function step(n) x = (x * 16807) % 2147483647; return string.format("%x", x % 65536) .. n % 7 end
local producer = coroutine.wrap(function() local n = 0 while true do n = n + 1; coroutine.yield(step(n), n) end end)
local weak = setmetatable({}, {__mode = "v"})
for i = 1, 600000 do
    local word, n = producer()
    words[word] = (words[word] or 0) + n
    weak[i % 1000] = {word}
    if i % 20000 == 0 then print(i, word, words[word]) io.flush() end
end
local keys = {} for key in pairs(words) do keys[#keys + 1] = key end
table.sort(keys)
local sum = 0 for i, key in ipairs(keys) do sum = (sum * 31 + words[key] * i) % 1000000007 end
print(#keys, sum, table.concat(keys, ",", 1, 20))
"""

GAWK = """\
BEGIN {
    srand(5); x = 1
    for (i = 1; i <= 1000000; i++) {
        x = (x * 16807) % 2147483647
        word = sprintf("%c%c%d", 97 + x % 26, 97 + int(x / 26) % 26, x % 10)
        count[word] += i; length_[length(word) + i % 5]++
        if (i % 7 == 0) text = substr(text word, 1 + (length(text) > 500) * 20)
        if (i % 40000 == 0) { print i, word, count[word], rand(); fflush() }
    }
    n = asorti(count, names); for (i = 1; i <= n; i += 97) print names[i], count[names[i]]
    print gsub(/a[a-m]/, "<&>", text), text
}
"""

BASH = """\
declare -A count; declare -a list; x=1
trap 'echo bye $x' EXIT
exec 5>appended; exec {again}>&5
for ((i = 1; i <= 100000; i++)); do
    ((x = (x * 1103515245 + 12345) & 0x7fffffff))
    printf -v word '%x' $((x >> 16 & 0xfff))
    ((count[k$word] += i)); list+=("$word"); ((${#list[@]} > 200)) && list=("${list[@]:100}")
    if ((i % 2500 == 0)); then
        echo "$i $word ${count[k$word]} ${#list[@]}"
        echo "$i" >&5; echo "${word//[0-9]/n}" >&$again
    fi
done
sum=0; for key in "${!count[@]}"; do ((sum = (sum + count[$key] * ${#key}) & 0xffffff)); done
echo "sum $sum ${#count[@]}"
"""

NODE = """\
const fs = require('fs'); const crypto = require('crypto');
const map = new Map(); let x = 1n, buffers = [];
function step(i) {
    for (let k = 0; k < 2000; k++) {
        x = (x * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
        const key = 'k' + (x >> 45n); map.set(key, (map.get(key) || 0) + i);
    }
    buffers.push(Buffer.alloc(5000, i)); if (buffers.length > 100) buffers = buffers.slice(50);
    const hash = crypto.createHash('sha256').update(Buffer.concat(buffers)).digest('hex');
    fs.writeSync(1, i + ' ' + map.size + ' ' + hash.slice(0, 16) + '\\n');
}
(async () => {
    for (let i = 0; i < 300; i++) {
        step(i);
        await new Promise(resolve => i % 2 ? setTimeout(resolve, 5) : setImmediate(resolve));
        if (i % 10 == 0) await new Promise((ok, no) => fs.readFile('script.js', e => e ? no(e) : ok()));
    }
    let sum = 0; for (const [key, value] of map) sum = (sum * 31 + value + key.length) >>> 0;
    fs.writeSync(1, 'sum ' + sum + '\\n');
})();
"""


@functools.cache
def words(count):
    return "".join(f"{n * 2654435761 % 4294967296:08x} {n % 977} {n * n % 65537:x}\n" for n in range(count))


def script(name, argv, text, outputs=()):
    return Program(name, argv + ["script"], {"script": text}, outputs)


def built(name, outputs=()):
    return Program(name, [name], outputs=outputs, is_built=True)


def programs():
    return [
        built("counter", ["own"]),
        built("mutexes"),
        built("crowd"),
        built("sleeps"),
        built("patient"),
        built("remaps"),
        built("descriptors", ["appended", "shared"]),
        built("exceptions"),
        built("team"),
        built("pi"),
        built("breaks"),
        built("semaphores"),
        Program("sqlite3", ["sqlite3", ":memory:"], {"script": SQL}, stdin="script"),
        Program("sqlite3-init", ["sqlite3", "-init", "script", ":memory:", ".quit"], {"script": SQL}),
        script("python3", ["/usr/bin/python3"], PYTHON),
        script("asyncio", ["/usr/bin/python3"], ASYNCIO),
        script("perl", ["perl"], PERL),
        script("lua", ["lua"], LUA),
        script("gawk", ["gawk", "-f"], GAWK),
        script("bash", ["bash"], BASH, ["appended"]),
        Program("xz", ["xz", "-T2", "-c", "-6", "--block-size=1MiB", "words"],
                {"words": lambda: words(120000)}),
        Program("sort", ["sort", "--parallel=3", "-S", "200M", "-k2n", "-k3V", "words"],
                {"words": lambda: words(400000)}),
        Program("node", ["node", "script.js"], {"script.js": NODE}),
    ]
