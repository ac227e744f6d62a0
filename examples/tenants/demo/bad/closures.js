// Functions that keep each other alive.
function wrap(before) {
	return function () { return before; };
}
var last;
for (;;)
	last = wrap(last);
