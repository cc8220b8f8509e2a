#!/usr/bin/env python3
"""make -j2: parallel jobs, pattern rules, recursion; each job has a pool of its own."""
from pooled import Place, expect, expect_equal, need

MAKEFILE = """
PARTS := $(addprefix part,$(shell seq 60))
all: sum inner
%: %.in
	@sort -rn $< | md5sum > $@
part%.in:
	@seq $* $$(($* * 50 + 100)) > $@
sum: $(sort $(PARTS))
	@cat $^ | md5sum > $@
inner:
	@$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) last
last: sum
	@echo $(words $(foreach i,$(PARTS),$(foreach j,$(PARTS),$(i)$(j)))) > $@
.PHONY: all inner
.SECONDARY:
"""

make = need("make")
with Place(children="inherit") as place:
    place.write("Makefile", MAKEFILE)
    sums = []
    for is_pooled in (False, True):
        place.succeed([make, "-j2", "-s"], is_pooled)
        sums.append([open(place.path(f)).read() for f in ("sum", "last", "part17")])
        expect(sums[-1][1] == "3600\n", "make counted wrong: " + sums[-1][1])
        place.succeed(["/bin/sh", "-c", "rm -f part* sum last"], False)
    expect_equal(sums[0], sums[1], "what make made")
    place.prove()
