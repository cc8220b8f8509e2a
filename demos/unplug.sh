#!/bin/bash
# redis, sqlite3 and python3, unmodified, killed with kill -9: the same command line, and they go on
. "$(dirname "$0")/stage.sh"
need redis-server sqlite3 python3

tell "A redis-server as it comes in its package, its own persistence off. A client sets keys and" \
	"remembers what was acknowledged. kill -9; the same command line again:"
server=(heapsake run -k process -p redis.pool -- redis-server --port 0 --unixsocket "$place/socket"
	--dir "$place" --save "" --appendonly no)
printf '    $ %s\n' "${server[*]}"
unplug-client.py --kills 2 --seconds 1.5 socket redis.pool "${server[@]}" 2>errors >said
status=$?
cat said
((status == 0)) || cat errors
claim "what is there is the state of one instant, a beginning of what was acknowledged" \
	test $status -eq 0

# go_on NAME COMMAND...: run it until it ends by itself, killed twice on the way; output to NAME.out
go_on() {
	local name=$1 kills=0 status resumed began=${EPOCHREALTIME/[^0-9]/}
	shift
	: >"$name.out"
	while :; do
		heapsake run -k process -p "$name.pool" -- "$@" >>"$name.out" 2>>errors &
		if ((kills < 2)); then
			until_true has_epoch "$name.pool" || return 1
			sleep 0.4
			kill_program $! && ((++kills)) && continue
		fi
		wait $!
		status=$?
		resumed=$(grep -c "^heapsake: resumed .*/$name.pool " errors)
		printf '    killed %d times, resumed %d times, it ended with status %d after %d ms\n' $kills \
			"$resumed" $status $(((${EPOCHREALTIME/[^0-9]/} - began) / 1000))
		return $((status != 0 || kills == 0 || resumed < kills))
	done
}

cat >numbers.sql <<'SQL'
create table n(i integer primary key, square integer);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 3000000)
	insert into n select i, i * i from c;
select count(*), sum(square % 1000) from n;
update n set square = square + 1 where i % 3 = 0;
select sum(square % 1000) from n;
SQL
tell "The sqlite3 shell with a database in memory, which nothing on disk remembers:"
printf '    $ sqlite3 :memory: <numbers.sql           once undisturbed, once killed twice\n'
sqlite3 :memory: ".read numbers.sql" >plain
claim "killed and run again, it goes on" go_on sqlite3 sqlite3 :memory: ".read numbers.sql"
claim "its output is what it is undisturbed: $(tail -1 sqlite3.out)" cmp plain sqlite3.out

cat >primes.py <<'PYTHON'
import threading
found, lock = {}, threading.Lock()
def search(first):
    for n in range(first, 700000, 3):
        if n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1)):
            with lock:
                found[n] = n * n
        if first == 0 and n % 30000 == 0:
            print(n, flush=True)
threads = [threading.Thread(target=search, args=(first,)) for first in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
print(len(found), sum(found.values()))
PYTHON
tell "A python3 script with three threads and a dictionary that they share:"
printf '    $ python3 primes.py\n'
python=$(python3 -c 'import sys; print(sys.executable)')
"$python" primes.py >plain
claim "killed and run again, it goes on" go_on python3 "$python" primes.py
claim "its output is what it is undisturbed: $(tail -1 python3.out)" cmp plain python3.out

tell "What ran after the last epoch runs again; what was sent stays sent; connections come back" \
	"closed. README.md says more."
