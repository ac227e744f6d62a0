-- A JSON encoder, and what it makes of an invented order book.
local escapes = {['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\t'] = '\\t'}

local function encode(value, out)
	local kind = type(value)
	if kind == "string" then
		out[#out + 1] = '"' .. value:gsub('["\\\n\t]', escapes) .. '"'
	elseif kind ~= "table" then
		out[#out + 1] = tostring(value)
	elseif #value > 0 then
		out[#out + 1] = "["
		for i, element in ipairs(value) do
			out[#out + 1] = i > 1 and "," or ""
			encode(element, out)
		end
		out[#out + 1] = "]"
	else
		local keys = {}
		for key in pairs(value) do
			keys[#keys + 1] = key
		end
		table.sort(keys)
		out[#out + 1] = "{"
		for i, key in ipairs(keys) do
			out[#out + 1] = (i > 1 and ',"' or '"') .. key .. '":'
			encode(value[key], out)
		end
		out[#out + 1] = "}"
	end
	return out
end

local orders = {}
for i = 1, 400 do
	orders[i] = {id = i, buyer = "buyer \"" .. i % 17 .. "\"", paid = i % 3 == 0,
		lines = {i * 7 % 101, i * 13 % 103, i * 31 % 107}}
end
local text = table.concat(encode({orders = orders, note = "tab\there"}, {}))
local sum = 0
for i = 1, #text do
	sum = (sum * 31 + text:byte(i)) % 4294967296
end
print(#text, sum)
print(text:sub(1, 90))
