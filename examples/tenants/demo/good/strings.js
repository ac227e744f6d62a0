// Words: made, counted, sorted.
var words = [], counts = {}, seed = 42;
for (var i = 0; i < 4000; i++) {
	seed = (seed * 16807) % 2147483647;
	var word = String.fromCharCode(97 + (seed >> 16) % 7, 97 + (seed >> 9) % 5);
	for (var n = (seed >> 6) % 3; n > 0; n--)
		word += word;
	words.push(word);
	counts[word] = (counts[word] || 0) + 1;
}
var text = words.join(' ');
var keys = Object.keys(counts).sort(function (a, b) {
	return counts[b] - counts[a] || (a < b ? -1 : 1);
});
print(text.length, text.match(/\bab\b/g).length, keys.length);
for (i = 0; i < 5; i++)
	print(keys[i], counts[keys[i]]);
