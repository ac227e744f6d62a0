// Binary trees of the benchmarks game, depth 10: small objects, made and dropped.
function make(depth) {
	return depth ? {left: make(depth - 1), right: make(depth - 1)} : {};
}

function check(tree) {
	return tree.left ? 1 + check(tree.left) + check(tree.right) : 1;
}

var N = 10;
print('stretch tree of depth ' + (N + 1) + '\t check: ' + check(make(N + 1)));
var long = make(N);
for (var depth = 4; depth <= N; depth += 2) {
	var nr = 1 << (N - depth + 4), sum = 0;
	for (var i = 0; i < nr; i++)
		sum += check(make(depth));
	print(nr + '\t trees of depth ' + depth + '\t check: ' + sum);
}
print('long lived tree of depth ' + N + '\t check: ' + check(long));
