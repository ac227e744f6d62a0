-- SPDX-License-Identifier: MIT
-- Binary trees: an interpreter that makes and collects many small tables, beside one
-- long-lived tree. Run with lua5.4; arg[1] is the percentage of the work.

local percent = tonumber(arg[1]) or 100
local max_depth = 16
local rounds = math.max(1, 24 * percent // 100)

local function tree_new(depth)
	if depth == 0 then
		return {}
	end
	return { tree_new(depth - 1), tree_new(depth - 1) }
end

local function tree_count(tree)
	if not tree[1] then
		return 1
	end
	return 1 + tree_count(tree[1]) + tree_count(tree[2])
end

local long_lived = tree_new(max_depth)
local sum = 0
for _ = 1, rounds do
	for depth = 4, max_depth, 2 do
		for _ = 1, 1 << (max_depth - depth) // 2 do
			sum = sum * 31 + tree_count(tree_new(depth)) & 0xffffffffffff
		end
	end
end
sum = sum * 31 + tree_count(long_lived) & 0xffffffffffff
print(string.format("checksum %016x", sum))
