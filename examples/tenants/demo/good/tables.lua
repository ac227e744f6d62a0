-- A sieve and a table that is sorted, looked up and emptied.
local N <const> = 20000
local composite, nr, last = {}, 0, 0
for i = 2, N do
	if not composite[i] then
		nr, last = nr + 1, i
		for j = i * i, N, i do
			composite[j] = true
		end
	end
end
print(nr, last)
local list, seed = {}, 7
for i = 1, 5000 do
	seed = (seed * 1103515245 + 12345) % 2147483648
	list[i] = seed
end
table.sort(list)
local xor = 0
while #list > 0 do
	xor = xor ~ (table.remove(list) * (#list + 1))
end
print(xor)
