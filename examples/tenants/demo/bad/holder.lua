-- Have much, then hold the lock of the cache with something half done.
local kept = {}
for i = 1, 80 do
	kept[i] = ("x"):rep(100000 + i)
end
cache_set_slowly("held", ("h"):rep(20000))
print("awake")
