-- Nine of the 16 MiB that a tenant may have, all of it exchanged twice.
local kept, sum = {}, 0
for round = 1, 3 do
	for i = 1, 90 do
		kept[i] = string.char(96 + round, 97 + i % 26):rep(50000)
	end
end
for i = 1, 90 do
	sum = sum + #kept[i] + kept[i]:byte(1) * i + kept[i]:byte(100000)
end
print(#kept, sum)
