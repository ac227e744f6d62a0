// The planets of the benchmarks game, 1000 steps.
var DAYS = 365.24, MASS = 4 * Math.PI * Math.PI;
var bodies = [
	[0, 0, 0, 0, 0, 0, MASS],
	[4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,
		1.66007664274403694e-03 * DAYS, 7.69901118419740425e-03 * DAYS,
		-6.90460016972063023e-05 * DAYS, 9.54791938424326609e-04 * MASS],
	[8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,
		-2.76742510726411899e-03 * DAYS, 4.99852801234917238e-03 * DAYS,
		2.30417297573763929e-05 * DAYS, 2.85885980666130812e-04 * MASS],
	[1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,
		2.96460137564761618e-03 * DAYS, 2.37847173959480950e-03 * DAYS,
		-2.96589568540237556e-05 * DAYS, 4.36624404335156298e-05 * MASS],
	[1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,
		2.68067772490389322e-03 * DAYS, 1.62824170038242295e-03 * DAYS,
		-9.51592254519715870e-05 * DAYS, 5.15138902046611451e-05 * MASS]
];

function energy() {
	var e = 0;
	for (var i = 0; i < bodies.length; i++) {
		var b = bodies[i];
		e += 0.5 * b[6] * (b[3] * b[3] + b[4] * b[4] + b[5] * b[5]);
		for (var j = i + 1; j < bodies.length; j++) {
			var c = bodies[j];
			var dx = b[0] - c[0], dy = b[1] - c[1], dz = b[2] - c[2];
			e -= b[6] * c[6] / Math.sqrt(dx * dx + dy * dy + dz * dz);
		}
	}
	return e;
}

function advance(dt) {
	var i, j, b, c;
	for (i = 0; i < bodies.length; i++) {
		b = bodies[i];
		for (j = i + 1; j < bodies.length; j++) {
			c = bodies[j];
			var dx = b[0] - c[0], dy = b[1] - c[1], dz = b[2] - c[2];
			var d2 = dx * dx + dy * dy + dz * dz;
			var mag = dt / (d2 * Math.sqrt(d2));
			b[3] -= dx * c[6] * mag; b[4] -= dy * c[6] * mag; b[5] -= dz * c[6] * mag;
			c[3] += dx * b[6] * mag; c[4] += dy * b[6] * mag; c[5] += dz * b[6] * mag;
		}
	}
	for (i = 0; i < bodies.length; i++) {
		b = bodies[i];
		b[0] += dt * b[3]; b[1] += dt * b[4]; b[2] += dt * b[5];
	}
}

var p = [0, 0, 0];
bodies.forEach(function (b) {
	for (var k = 0; k < 3; k++)
		p[k] += b[3 + k] * b[6];
});
for (var k = 0; k < 3; k++)
	bodies[0][3 + k] = -p[k] / MASS;
print(energy().toFixed(9));
for (var n = 0; n < 1000; n++)
	advance(0.01);
print(energy().toFixed(9));
