#!/bin/bash
# a key-value server with an unmodified hash table: what it has acknowledged is durable
. "$(dirname "$0")/stage.sh"
need python3

tell "The table is uthash, as it comes in its package. What makes a change durable:"
sed -n '/^static void change/,/^}/p' "$demos/kv.c" | sed 's/^/    | /'

tell "Four clients change keys, and remember what the server has acknowledged. The server is" \
	"killed; its successor must have every acknowledged change; and so on:"
show timeout 120 kv-client.py --kills 10 socket heapsake run -q -p kv.pool -s 256M -- kv socket
claim "no acknowledged change was lost" test $? -eq 0
claim "the pool is in order" heapsake check --deep kv.pool
