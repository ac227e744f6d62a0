-- Words: made, counted, sorted.
local words, counts, seed = {}, {}, 42
for _ = 1, 4000 do
	seed = (seed * 1103515245 + 12345) % 2147483648
	local word = string.char(97 + seed // 65536 % 7, 97 + seed // 512 % 5):rep(1 + seed // 64 % 3)
	words[#words + 1] = word
	counts[word] = (counts[word] or 0) + 1
end
local text = table.concat(words, " ")
local upper, nr = text:upper():gsub("%f[%a]AB%f[%A]", "!")
local keys = {}
for key in pairs(counts) do
	keys[#keys + 1] = key
end
table.sort(keys, function(a, b)
	return counts[a] > counts[b] or counts[a] == counts[b] and a < b
end)
print(#text, nr, #keys, #upper)
for i = 1, 5 do
	print(keys[i], counts[keys[i]])
end
