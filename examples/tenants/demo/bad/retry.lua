-- Every error is caught, and it goes on, holding on to what it has.
local kept = {}
while true do
	pcall(function()
		while true do
			kept[#kept + 1] = ("x"):rep(1000 + #kept)
		end
	end)
end
