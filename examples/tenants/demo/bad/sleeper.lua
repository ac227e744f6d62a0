-- Have much, then want the cache while somebody else has its lock.
local kept = {}
for i = 1, 80 do
	kept[i] = ("x"):rep(100000 + i)
end
cache_get("fill 1")
print("awake")
