// Every error is caught, and it goes on, holding on to what it has.
var kept = [], block = new Array(1001).join('x');
for (;;) {
	try {
		for (;;)
			kept.push(block + kept.length);
	} catch (e) {
	}
}
