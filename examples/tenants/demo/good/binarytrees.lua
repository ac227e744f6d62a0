-- Binary trees of the benchmarks game, depth 10: small objects, made and dropped.
local function make(depth)
	if depth == 0 then
		return {}
	end
	return {make(depth - 1), make(depth - 1)}
end

local function check(tree)
	if tree[1] then
		return 1 + check(tree[1]) + check(tree[2])
	end
	return 1
end

local N <const> = 10
print(string.format("stretch tree of depth %d\t check: %d", N + 1, check(make(N + 1))))
local long = make(N)
for depth = 4, N, 2 do
	local nr, sum = 1 << (N - depth + 4), 0
	for _ = 1, nr do
		sum = sum + check(make(depth))
	end
	print(string.format("%d\t trees of depth %d\t check: %d", nr, depth, sum))
end
print(string.format("long lived tree of depth %d\t check: %d", N, check(long)))
