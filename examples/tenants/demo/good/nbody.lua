-- The planets of the benchmarks game, 1000 steps.
local PI, DAYS = 3.141592653589793, 365.24
local MASS = 4 * PI * PI
local bodies = {
	{0, 0, 0, 0, 0, 0, MASS},
	{4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,
		1.66007664274403694e-03 * DAYS, 7.69901118419740425e-03 * DAYS,
		-6.90460016972063023e-05 * DAYS, 9.54791938424326609e-04 * MASS},
	{8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,
		-2.76742510726411899e-03 * DAYS, 4.99852801234917238e-03 * DAYS,
		2.30417297573763929e-05 * DAYS, 2.85885980666130812e-04 * MASS},
	{1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,
		2.96460137564761618e-03 * DAYS, 2.37847173959480950e-03 * DAYS,
		-2.96589568540237556e-05 * DAYS, 4.36624404335156298e-05 * MASS},
	{1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,
		2.68067772490389322e-03 * DAYS, 1.62824170038242295e-03 * DAYS,
		-9.51592254519715870e-05 * DAYS, 5.15138902046611451e-05 * MASS},
}

local function energy()
	local e = 0
	for i, b in ipairs(bodies) do
		e = e + 0.5 * b[7] * (b[4] * b[4] + b[5] * b[5] + b[6] * b[6])
		for j = i + 1, #bodies do
			local c = bodies[j]
			local dx, dy, dz = b[1] - c[1], b[2] - c[2], b[3] - c[3]
			e = e - b[7] * c[7] / math.sqrt(dx * dx + dy * dy + dz * dz)
		end
	end
	return e
end

local function advance(dt)
	for i, b in ipairs(bodies) do
		for j = i + 1, #bodies do
			local c = bodies[j]
			local dx, dy, dz = b[1] - c[1], b[2] - c[2], b[3] - c[3]
			local d2 = dx * dx + dy * dy + dz * dz
			local mag = dt / (d2 * math.sqrt(d2))
			b[4], b[5], b[6] = b[4] - dx * c[7] * mag, b[5] - dy * c[7] * mag,
				b[6] - dz * c[7] * mag
			c[4], c[5], c[6] = c[4] + dx * b[7] * mag, c[5] + dy * b[7] * mag,
				c[6] + dz * b[7] * mag
		end
	end
	for _, b in ipairs(bodies) do
		b[1], b[2], b[3] = b[1] + dt * b[4], b[2] + dt * b[5], b[3] + dt * b[6]
	end
end

local px, py, pz = 0, 0, 0
for _, b in ipairs(bodies) do
	px, py, pz = px + b[4] * b[7], py + b[5] * b[7], pz + b[6] * b[7]
end
bodies[1][4], bodies[1][5], bodies[1][6] = -px / MASS, -py / MASS, -pz / MASS
print(string.format("%.9f", energy()))
for _ = 1, 1000 do
	advance(0.01)
end
print(string.format("%.9f", energy()))
