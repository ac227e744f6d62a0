// The cache that all share: a value is whole, whoever stored it, or it is not there.
function repeat(text, nr) {
	return new Array(nr + 1).join(text);
}
var torn = 0;
for (var i = 1; i <= 8; i++) {
	var key = 'js ' + i % 20, value = repeat(i % 20 + ',', 500 + i % 20 * 37);
	cache_set(key, value);
	var mine = cache_get(key), other = cache_get('set ' + i % 20);
	if (mine !== undefined && mine !== value)
		torn++;
	if (other !== undefined && other !== repeat(other.charAt(0), other.length))
		torn++;
}
print(torn + ' torn');
