-- Store values that others check, and keep them all, until it is killed.
local kept = {}
while true do
	local n = #kept + 1
	kept[n] = string.char(97 + n % 26):rep(30000 + n % 100)
	cache_set("set " .. n % 20, kept[n])
end
