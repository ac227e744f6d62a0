// SPDX-License-Identifier: MIT
// Binary trees and strings: an engine that counts references makes and drops many small
// objects and some buffers that grow. The global "percent" is the percentage of the work.

var rounds = Math.max(1, Math.floor(12 * percent / 100));

function Tree(left, right) {
	this.left = left;
	this.right = right;
}

function makeTree(depth) {
	if (depth === 0)
		return new Tree(null, null);
	return new Tree(makeTree(depth - 1), makeTree(depth - 1));
}

function countTree(tree) {
	if (tree.left === null)
		return 1;
	return 1 + countTree(tree.left) + countTree(tree.right);
}

function makeText(nr) {
	var parts = [];
	for (var i = 0; i < nr; i++)
		parts.push({ number: i, name: 'item' + i });
	return JSON.stringify(parts);
}

var longLived = makeTree(13);
var sum = 0;
for (var round = 0; round < rounds; round++) {
	for (var depth = 4; depth <= 13; depth += 3)
		sum = (sum * 31 + countTree(makeTree(depth))) % 4294967296;
	sum = (sum * 31 + makeText(2000).length) % 4294967296;
}
sum = (sum * 31 + countTree(longLived)) % 4294967296;
print('checksum ' + sum.toString(16));
