// A JSON encoder written by hand, checked against the engine's own.
var escapes = {'"': '\\"', '\\': '\\\\', '\n': '\\n', '\t': '\\t'};

function quote(text) {
	var out = '"';
	for (var i = 0; i < text.length; i++) {
		var c = text.charAt(i);
		out += escapes[c] || c;
	}
	return out + '"';
}

function encode(value, out) {
	if (typeof value === 'string') {
		out.push(quote(value));
	} else if (value === null || typeof value !== 'object') {
		out.push(String(value));
	} else if (Array.isArray(value)) {
		out.push('[');
		for (var i = 0; i < value.length; i++) {
			if (i > 0)
				out.push(',');
			encode(value[i], out);
		}
		out.push(']');
	} else {
		var separator = '{';
		for (var key in value) {
			out.push(separator, quote(key), ':');
			encode(value[key], out);
			separator = ',';
		}
		out.push(separator === '{' ? '{}' : '}');
	}
	return out;
}

var orders = [], i;
for (i = 1; i <= 200; i++)
	orders.push({id: i, buyer: 'buyer "' + i % 17 + '"', paid: i % 3 === 0, note: null,
		lines: [i * 7 % 101, i * 13 % 103 / 2, {}, []], path: 'C:\\' + i + '\n\t'});
var text = encode({orders: orders}, []).join('');
var sum = 0;
for (i = 0; i < text.length; i++)
	sum = (sum * 31 + text.charCodeAt(i)) % 4294967296;
print(text.length, sum, text === JSON.stringify({orders: orders}));
print(text.slice(0, 110));
