# shellcheck shell=bash
# What every demonstration stands on: sourced, not run.
#
# A demonstration tells what it does (tell), shows the commands it runs (show), and claims what
# came out (claim). A claim that does not hold ends it with status 1: it is a test as well.
set -u
command_path=${DEMO_COMMAND:?run this as demos/run NAME}
demos=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$(dirname "$command_path"):${DEMO_PROGRAMS-}:$demos:$PATH
place=$(mktemp -d -t heapsake-demo-XXXXXX) || exit 1
started=()

leave() {
	local pid
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	[[ -z ${group-} ]] || rmdir "$group" 2>/dev/null
	rm -rf "$place" ${shm_place:+"$shm_place"}
}
trap leave EXIT
cd "$place" || exit 1

tell() {
	echo
	printf '  %s\n' "$@"
}

# show COMMAND...: the command as one would type it, and its output
show() {
	printf '    $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}

# claim SENTENCE COMMAND...: holds if the command succeeds
claim() {
	local sentence=$1
	shift
	if "$@"; then
		printf '  [ok] %s\n' "$sentence"
	else
		printf '  [FAILED] %s\n' "$sentence"
		exit 1
	fi
}

# start COMMAND...: in the background; stopped at the end. Its process id: $!
start() {
	printf '    $ %s &\n' "$*"
	"$@" >>"$place/started.out" 2>&1 &
	started+=($!)
}

# stop PID: as a user would, with SIGTERM
stop() {
	kill "$1" && wait "$1" 2>/dev/null
	true
}

# kill_9 PID: false if it had ended by itself
kill_9() {
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	(($? == 137))
}

# kill_program KEEPER: the program it keeps; false if it had ended by itself
kill_program() {
	local pid=$1
	for _ in 1 2; do
		pid=$(cat "/proc/$pid/task/$pid/children") && pid=${pid%% *} && [[ $pid ]] || return 1
	done 2>/dev/null
	kill -9 "$pid" 2>/dev/null
	wait "$1" 2>/dev/null
	(($? == 137))
}

# has_epoch POOL: something of it would survive a kill now
has_epoch() {
	[[ $(heapsake info --json "$1") =~ \"epoch\":\ *[1-9] ]]
}

# lines FILE N: it has more than N
lines() { [[ $(wc -l <"$1") -gt $2 ]]; }

# until_true COMMAND...: within 20 seconds
until_true() {
	local i
	for ((i = 0; i < 400; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	cat "$place/started.out" 2>/dev/null
	return 1
}

skip() {
	printf '  skipped: %s\n' "$*"
	exit 77
}

need() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}
