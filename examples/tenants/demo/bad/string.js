// A string that doubles.
var s = 'x';
for (;;)
	s += s;
