// A sieve, and an array that is sorted, searched and emptied.
var N = 20000, composite = [], nr = 0, last = 0, i, j;
for (i = 2; i <= N; i++) {
	if (composite[i])
		continue;
	nr++;
	last = i;
	for (j = i * i; j <= N; j += i)
		composite[j] = true;
}
print(nr, last);
var list = [], seed = 7;
for (i = 0; i < 3000; i++) {
	seed = (seed * 16807) % 2147483647;
	list.push(seed);
}
var middle = list[1500];
list.sort(function (a, b) {
	return a - b;
});
var low = 0, high = list.length;
while (low < high) {
	var at = (low + high) >> 1;
	if (list[at] < middle)
		low = at + 1;
	else
		high = at;
}
print(list[low] === middle, low);
var sum = 0;
while (list.length > 0)
	sum = (sum * 31 + list.pop() + list.length) % 4294967296;
print(sum);
