// An array that doubles.
var a = [1];
for (;;)
	a = a.concat(a);
