-- The cache that all share: a value is whole, whoever stored it, or it is not there.
local torn = 0
for i = 1, 8 do
	local key, value = "lua " .. i % 20, (i % 20 .. ","):rep(500 + i % 20 * 37)
	cache_set(key, value)
	local mine, other = cache_get(key), cache_get("set " .. i % 20)
	if mine and mine ~= value then
		torn = torn + 1
	end
	if other and other ~= other:sub(1, 1):rep(#other) then
		torn = torn + 1
	end
end
print(torn .. " torn")
