// The spectral norm of the benchmarks game, 40 x 40.
function a(i, j) {
	return 1 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

function times(v, at) {
	return v.map(function (unused, i) {
		return v.reduce(function (sum, x, j) {
			return sum + (at ? a(j, i) : a(i, j)) * x;
		}, 0);
	});
}

var u = [], v, vbv = 0, vv = 0;
for (var i = 0; i < 40; i++)
	u.push(1);
for (i = 0; i < 10; i++) {
	v = times(times(u, false), true);
	u = times(times(v, false), true);
}
for (i = 0; i < u.length; i++) {
	vbv += u[i] * v[i];
	vv += v[i] * v[i];
}
print(Math.sqrt(vbv / vv).toFixed(6));
