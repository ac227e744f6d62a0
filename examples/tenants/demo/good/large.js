// Nine of the 16 MiB that a tenant may have, all of it exchanged twice.
var kept = [], sum = 0, i;
for (var round = 1; round <= 3; round++) {
	for (i = 0; i < 90; i++) {
		var pair = String.fromCharCode(96 + round, 97 + i % 26);
		for (var text = pair + i % 10; text.length < 50000; )
			text += text;
		kept[i] = text;
	}
}
for (i = 0; i < 90; i++)
	sum += kept[i].length + kept[i].charCodeAt(0) * i + kept[i].charCodeAt(49999);
print(kept.length, sum);
