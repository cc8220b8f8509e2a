#!/bin/bash
# a heap of 400 MB under a memory limit of 150 MB: on the disk it fits
. "$(dirname "$0")/stage.sh"
need /usr/bin/python3
limit=$((150 << 20))

# A control group with that limit and no swap: version 1, or version 2 below our own group.
if [[ -d /sys/fs/cgroup/memory ]]; then
	group=/sys/fs/cgroup/memory/heapsake-demo-$$
	mkdir "$group" 2>/dev/null || skip "no right to make a control group in /sys/fs/cgroup"
	echo $limit >"$group/memory.limit_in_bytes"
	echo $limit 2>/dev/null >"$group/memory.memsw.limit_in_bytes"
elif [[ -f /sys/fs/cgroup/cgroup.controllers ]]; then
	group=/sys/fs/cgroup/heapsake-demo-$$
	mkdir "$group" 2>/dev/null || skip "no right to make a control group in /sys/fs/cgroup"
	if ! { echo $limit >"$group/memory.max"; } 2>/dev/null; then
		rmdir "$group"
		skip "the memory controller is not delegated to this place"
	fi
	echo 0 2>/dev/null >"$group/memory.swap.max"
else
	skip "there are no control groups here"
fi
[[ $(stat -f -c %T "$place") != tmpfs ]] || skip "$place is memory itself; set TMPDIR to a disk"

cat >big.py <<'PYTHON'
import hashlib
blocks = [bytearray(i.to_bytes(4, "big") * 25000) for i in range(4000)]     # 400 MB
for block in blocks[::3]:
    block[::4096] = bytes(len(block[::4096]))
digest = hashlib.sha256()
for block in reversed(blocks):
    digest.update(block)
print(digest.hexdigest(), sum(map(len, blocks)) // 10**6, "MB")
PYTHON
# limited COMMAND...: in the control group
limited() { sh -c "echo \$\$ >$group/cgroup.procs; exec \"\$@\"" sh "$@"; }
export PYTHONMALLOC=malloc

tell "Without a limit, to know the right answer:"
show sh -c '/usr/bin/python3 big.py | tee plain.out'

tell "The same in a control group that allows 150 MB:"
limited /usr/bin/python3 big.py >limited.out 2>/dev/null
status=$?
echo "    status $status (137: killed, out of memory)"
claim "the program does not fit in its limit" test $status -eq 137

tell "And with its heap in a pool on the disk. The kernel writes out what is not in use:"
printf '    $ %s\n' "heapsake run -q -k none -p big.pool -s 2G -- python3 big.py"
limited heapsake run -q -k none -p big.pool -s 2G -- /usr/bin/python3 big.py >pooled.out
claim "it runs to the end" test $? -eq 0
show cat pooled.out
claim "with the right answer" cmp plain.out pooled.out
