-- Tables and strings in Lua: records in arrays, string keys, concatenation, closures.
local scale = tonumber(arg[1])
local state = 7

local function random(limit)
	state = (state * 1103515245 + 12345) % 2147483648
	return state // 65536 % limit + 1
end

local function records(count)
	local all, by_name = {}, {}
	for i = 1, count do
		local record = { id = i, name = "n" .. random(2000), tags = { random(9), random(9) } }
		all[i] = record
		by_name[record.name] = by_name[record.name] or {}
		table.insert(by_name[record.name], record)
	end
	table.sort(all, function(a, b)
		return a.name < b.name or (a.name == b.name and a.id < b.id)
	end)
	local most = 0
	for _, list in pairs(by_name) do
		most = math.max(most, #list)
	end
	return most .. all[1].name .. all[#all].id
end

local function strings(count)
	local parts = {}
	for i = 1, count do
		parts[#parts + 1] = ("%d:%s"):format(i, ("x"):rep(random(60)))
	end
	local text, words = table.concat(parts, " "), 0
	for word in text:gmatch("%S+") do
		words = words + #word
	end
	return words
end

local function closures(count)
	local list = nil
	for i = 1, count do
		local next, value = list, random(100)
		list = function() return value, next end
	end
	local sum = 0
	while list do
		local value
		value, list = list()
		sum = sum + value
	end
	return sum
end

local function scaled(count)
	return math.max(1, count * scale // 100)
end

for _ = 1, 5 do
	print(records(scaled(60000)), strings(scaled(60000)), closures(scaled(100000)))
end
