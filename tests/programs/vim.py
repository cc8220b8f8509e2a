#!/usr/bin/env python3
"""vim -es: editing by script; undo, regular expressions, sorting, macros."""
from pooled import Place, expect, expect_equal, need

SCRIPT = r"""
set nocompatible undolevels=1000
call setline(1, map(range(1, 6000), 'printf("line %d of %x", v:val * 7919 % 6007, v:val)'))
sort /line/ n
%s/\v(\d+) of (\x+)/\2 <\1>/
g/[02468]>$/normal A, even
g/13/d
undo
redo
v/even/m0
let words = {}
for line in getline(1, '$') | for w in split(line) | let words[w] = get(words, w, 0) + 1 | endfor | endfor
call append('$', sort(keys(words))[0:99])
1,50!sort -r
w! result
qa!
"""

vim = need("vim")
with Place() as place:
    script, results = place.write("script.vim", SCRIPT), []
    for is_pooled in (False, True):
        place.succeed([vim, "-u", "NONE", "-i", "NONE", "-es", "-N", "-n", "-S", script, "text"],
                      is_pooled)
        results.append(open(place.path("result")).read())
    expect(results[0].count("\n") > 5000, "vim wrote too little")
    expect_equal(results[0], results[1], "the edited text")
    place.prove(at_least=50)
