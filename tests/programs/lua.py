#!/usr/bin/env python3
"""lua5.4: tables, strings, closures, coroutines, and a collector that frees a lot."""
from pooled import Place, need

PROGRAM = r'''
local t, seed = {}, 7
local function number() seed = (seed * 1103515245 + 12345) % 2147483648 return seed end
for i = 1, 200000 do t[i] = { key = number() % 100003, text = string.rep("x", i % 50) } end
table.sort(t, function(a, b) if a.key ~= b.key then return a.key < b.key end
	return #a.text < #b.text end)
local sum = 0
for i = 1, #t, 1000 do sum = sum + t[i].key io.write(t[i].key, " ", #t[i].text, "\n") end
local parts = {}
for word in coroutine.wrap(function() for i = 1, 5000 do coroutine.yield("w" .. i) end end) do
	parts[#parts + 1] = word:upper():reverse()
end
local all = table.concat(parts, ",")
print(sum, #all, select(2, all:gsub("%d+", "%0%0")))
for round = 1, 20 do local junk = {} for i = 1, 20000 do junk[i] = { i } end end
t = nil collectgarbage() print(collectgarbage("count") < 20000)
'''

lua = need("lua5.4")
with Place() as place:
    place.same([lua, "-"], text=PROGRAM)
