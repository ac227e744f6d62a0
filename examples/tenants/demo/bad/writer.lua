-- Have much, then write to a client that does not read.
local kept = {}
for i = 1, 80 do
	kept[i] = ("x"):rep(100000 + i)
end
while true do
	emit(kept[1])
end
