#!/bin/bash
# redis-server, unmodified, with its whole heap in a pool
. "$(dirname "$0")/stage.sh"
need redis-server redis-cli

# The same data for every server: half a million commands' worth, all made from counters.
load='for i = 1, 100000 do
	redis.call("SET", "key:" .. i, string.rep("v", i % 200))
	redis.call("RPUSH", "list:" .. i % 500, i)
	redis.call("HSET", "hash:" .. i % 300, i, i * 7)
	if i % 3 == 0 then redis.call("DEL", "key:" .. i - 1) end
end return redis.call("DBSIZE")'
options=(--port 0 --unixsocket "$place/socket" --dir "$place" --save ""
	--enable-debug-command local)
ask() { redis-cli -s "$place/socket" "$@"; }
answers() { [[ $(ask PING) == PONG ]]; }

tell "First without heapsake: load a server, take the digest of all its data."
start redis-server "${options[@]}"
until_true answers || exit 1
ask EVAL "$load" 0 >plain.size
ask DEBUG DIGEST >plain.digest
stop $!

tell "Now the same binary with its heap in the file redis.pool. Nothing else changes."
start heapsake run -k none -p redis.pool -s 1G -- redis-server "${options[@]}"
until_true answers || exit 1
ask EVAL "$load" 0 >pooled.size
show ask DBSIZE
show heapsake info redis.pool
heapsake info --json redis.pool >info.json
pool_bytes=$(($(stat -c %b redis.pool) * 512))
claim "the pool belongs to redis-server, pid $!" grep -q "\"pid\": *$!\b" info.json
claim "its memory is in the file: $((pool_bytes >> 20)) MiB of it" test $pool_bytes -gt 10000000

tell "redis saves in the background by forking. The child has the heap as it was at the fork:"
show ask DEBUG RELOAD
show ask BGSAVE
saved() { ask INFO persistence | tr -d '\r' | grep -qx 'rdb_bgsave_in_progress:0'; }
until_true saved || exit 1
claim "the background save worked" test -s dump.rdb
ask DEBUG DIGEST >pooled.digest
claim "as many keys as without heapsake" cmp plain.size pooled.size
claim "the digest of all data is the same" cmp plain.digest pooled.digest
stop $!

tell "keep=none means what it says: a pool is a place for a heap, and nothing comes back." \
	"The next server on this pool begins with an empty heap:"
rm -f dump.rdb
start heapsake run -k none -p redis.pool -- redis-server "${options[@]}"
until_true answers || exit 1
show ask DBSIZE
claim "the new server is empty" test "$(ask DBSIZE)" = 0
