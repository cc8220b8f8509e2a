"""The table of languages: threads that are whole interpreters or have a heap of their own, fibers
and coroutines, machine code made while it runs, and a compiler that gets its memory by itself."""
import shutil
import subprocess

from zoo import Program, script

WORKERS = """\
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads'); const fs = require('fs');
if (!isMainThread) {
    let x = workerData;
    parentPort.on('message', step => {
        if (step === null) return parentPort.close();
        for (let k = 0; k < 100000; k++) x = (x * 16807 + step) % 2147483647;
        parentPort.postMessage(x);
    });
} else {
    const sums = [0, 0, 0]; let left = sums.length;
    sums.forEach((_, n) => {
        const worker = new Worker(__filename, { workerData: n + 1 }); let step = 0;
        worker.on('message', x => {
            sums[n] = (sums[n] * 31 + x) % 1000000007;
            if (n == 1 && step % 20 == 0) fs.writeSync(1, step + ' ' + x + '\\n');
            worker.postMessage(++step < 150 ? step : null);
        });
        worker.on('exit', () => { if (!--left) fs.writeSync(1, 'sums ' + sums + '\\n'); });
        worker.postMessage(0);
    });
}
"""

# A thread of perl's is a whole interpreter, a copy of the one that started it.
PERL_THREADS = """\
use strict; use threads; use threads::shared; use Thread::Queue; $| = 1;
my ($todo, $done) = (Thread::Queue->new, Thread::Queue->new); my $total : shared = 0;
my @workers = map { threads->create(sub {
    my %seen;
    while (defined(my $x = $todo->dequeue)) {
        for (1 .. 1500) { $x = ($x * 16807 + 1) % 2147483647; $seen{$x & 255}++ }
        { lock $total; $total = ($total + $x) % 1000000007 }
        $done->enqueue($x);
    }
    scalar keys %seen }) } 1 .. 3;
my $sum = 0;
for my $batch (0 .. 30) {
    $todo->enqueue(map { $batch * 50 + $_ } 1 .. 50);
    $sum += $done->dequeue for 1 .. 50;
    print "$batch $sum $total\\n";
}
$todo->end; print join(',', map { $_->join <= 256 } @workers), "\\n";
"""

TCL = """\
set x 1; array set count {}
proc tick {n} {
    global x count done
    for {set k 0} {$k < 3000} {incr k} {
        set x [expr {($x * 16807) % 2147483647}]; set word [format %x [expr {$x & 0xfff}]]; incr count($word) $n
    }
    if {$n % 10 == 0} { puts "$n $word $count($word)"; flush stdout }
    if {$n < 200} { after [expr {$n % 4}] [list tick [expr {$n + 1}]] } else { set done 1 }
}
coroutine counter apply {{} { yield; for {set i 0} {1} {incr i} { yield $i } }}
tick 1; vwait done
set sum [expr {2 ** 500}]
foreach word [lsort [array names count]] { set sum [expr {($sum * 31 + $count($word) + [counter]) % 1000000007}] }
puts "sum $sum [array size count]"
"""

RUBY = """\
$stdout.sync = true
todo, done = SizedQueue.new(10), Queue.new
workers = 3.times.map { Thread.new { while (n = todo.pop) != :end; done << [n, n.to_s.sum * (n % 7)]; end } }
numbers = Fiber.new { x = 1; loop { x = (x * 16807) % 2147483647; Fiber.yield x } }
feed = Thread.new { 50000.times { |n| todo << n }; 3.times { todo << :end } }
count = Hash.new(0)
400000.times do |i|
    x = numbers.resume; count[x.to_s(16)[0, 3]] += i
    puts "#{i} #{x} #{count.size}" if i % 20000 == 0
    sleep 0.002 if i % 5000 == 0
end
feed.join; workers.each(&:join)
sum = 0; 50000.times { n, value = done.pop; sum = (sum + n * value) % 1000000007 }
puts sum, count.sort.inspect.sum
"""

# What just-in-time compilers make is in pages of their own, and so is what they know of them.
LUAJIT = """\
local ffi = require 'ffi'; ffi.cdef 'typedef struct { double sum; int count; } cell;'
local cells, words, x = ffi.new('cell[?]', 100000), {}, 1
local counter = coroutine.wrap(function() local n = 0 while true do n = n + 1 coroutine.yield(n) end end)
for i = 1, 50000000 do
    x = (x * 16807) % 2147483647; local cell = cells[x % 100000]
    cell.sum = cell.sum + i; cell.count = cell.count + 1
    if i % 2500000 == 0 then words[#words + 1] = string.format('%x', x) print(i, x, cell.sum, counter()) io.flush() end
end
local sum = 0 for i = 0, 99999 do sum = (sum * 31 + cells[i].sum + cells[i].count) % 1000000007 end
print(sum, table.concat(words, ','))
"""

C = "".join(f"""\
static int f{n}(int a, int b) {{ int s = b; for (int i = 0; i < a; i++) {{ s = s * {n + 3} + i;
switch (s & 7) {{ case 0: s += 1; break; case 3: s -= b; break; case 5: s ^= a * {n}; }} }} return s; }}
""" for n in range(200)) + "int all(int s) {" + "".join(f"s = f{n}(s & 15, s);" for n in range(200)) + "return s; }\n"


# The driver would tell that its compiler was killed; the compiler itself is kept.
def compiler():
    if not shutil.which("gcc"):
        return "cc1"
    return subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True).stdout.strip()


def programs():
    return [
        Program("node-workers", ["node", "script.js"], {"script.js": WORKERS}),
        script("perl-threads", ["perl"], PERL_THREADS),
        script("tclsh", ["tclsh"], TCL),
        script("ruby", ["ruby"], RUBY),
        script("luajit", ["luajit"], LUAJIT),
        Program("cc1", [compiler(), "-O2", "-quiet", "-o", "all.s", "all.c"], {"all.c": C},
                ["all.s"]),
    ]
