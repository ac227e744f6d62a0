// JSON out, in and out again.
var orders = [], i;
for (i = 1; i <= 400; i++)
	orders.push({id: i, buyer: 'buyer "' + i % 17 + '"', paid: i % 3 === 0,
		lines: [i * 7 % 101, i * 13 % 103, i * 31 % 107]});
var text = JSON.stringify({orders: orders, note: 'tab\there'});
var again = JSON.stringify(JSON.parse(text));
var sum = 0;
for (i = 0; i < text.length; i++)
	sum = (sum * 31 + text.charCodeAt(i)) % 4294967296;
print(text.length, sum, again === text);
print(text.slice(0, 90));
