// Store values that others check, and keep them all, until it is killed.
var kept = [], n = 0;
for (;;) {
	n++;
	kept.push(new Array(30000 + n % 100).join(String.fromCharCode(97 + n % 26)));
	cache_set('set ' + n % 20, kept[kept.length - 1]);
}
