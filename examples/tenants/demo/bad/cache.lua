-- Fill the cache that all share.
local value = ("x"):rep(60000)
for i = 1, 2000 do
	cache_set("fill " .. i, value)
end
print("filled")
