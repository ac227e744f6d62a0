"use strict";
/*
 * The page is whole without this. Here: the filter of the findings, and the flame graph,
 * which is drawn from the stacks in #data. Only what can be seen is in the document, so
 * that tens of thousands of frames are no burden.
 */
(() => {
	const byId = (id) => document.getElementById(id);
	const data = JSON.parse(byId("data").textContent);
	const ROW = 20;

	for (const element of document.querySelectorAll("[data-needs-script]"))
		element.hidden = false;

	function makeElement(name, className, text) {
		const element = document.createElement(name);
		element.className = className;
		if (text !== undefined)
			element.textContent = text;
		return element;
	}

	function setUpFilter() {
		const input = byId("filter"), say = byId("filtered");
		const findings = [...document.querySelectorAll(".finding")];

		if (!input)
			return;
		input.addEventListener("input", () => {
			const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
			let shown = 0;

			for (const finding of findings) {
				const text = finding.textContent.toLowerCase();
				finding.hidden = !words.every((word) => text.includes(word));
				shown += !finding.hidden;
			}
			say.textContent = words.length ? `${shown} of ${findings.length}` : "";
		});
	}

	/* A link to a finding opens it. */
	function openTarget() {
		const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));

		if (target && target.tagName === "DETAILS") {
			target.hidden = false;
			target.open = true;
			target.scrollIntoView({ block: "start" });
		}
	}

	function makeNode(place, parent) {
		return {
			place, parent, children: new Map(), depth: parent ? parent.depth + 1 : 0,
			calls: 0, stacks: 0, worst: data.classes.length - 1, shares: null,
			findings: new Set(), sorted: null, hit: false,
		};
	}

	/* Frames are one when function and module are, whatever the line. */
	const keys = data.places.map((place) => `${place[0]}\0${place[1]}`);

	function addStack(root, stack) {
		const [calls, , worst, finding, frames] = stack;
		let node = root;

		for (let i = frames.length; ; i--) {
			node.calls += calls;
			node.stacks++;
			node.worst = Math.min(node.worst, worst);
			node.shares = node.shares || { calls: new Map(), stacks: new Map() };
			const { calls: byCalls, stacks: byStacks } = node.shares;
			byCalls.set(worst, (byCalls.get(worst) || 0) + calls);
			byStacks.set(worst, (byStacks.get(worst) || 0) + 1);
			if (finding >= 0)
				node.findings.add(finding);
			if (!i)
				return;
			const place = frames[i - 1];
			let child = node.children.get(keys[place]);
			if (!child) {
				child = makeNode(place, node);
				node.children.set(keys[place], child);
			}
			node = child;
		}
	}

	const root = makeNode(-1, null);
	for (const stack of data.stacks)
		addStack(root, stack);

	let unit = "stacks", top = root, current = root, wanted = "";
	const graph = byId("graph"), rows = byId("rows"), about = byId("about");
	const drawn = new Map();

	function nameOf(node) {
		return node.place < 0 ? "all" : data.places[node.place][0];
	}

	function moduleOf(node) {
		return node.place < 0 ? "" : data.places[node.place][1];
	}

	/* The worst to the left, then the widest. */
	function childrenOf(node) {
		if (!node.sorted) {
			node.sorted = [...node.children.values()].sort((a, b) =>
				a.worst - b.worst || b[unit] - a[unit] ||
				nameOf(a).localeCompare(nameOf(b)));
		}
		return node.sorted;
	}

	function forgetOrder(node) {
		node.sorted = null;
		for (const child of node.children.values())
			forgetOrder(child);
	}

	/* How much of it came to what, as a strip: worst first. */
	function stripOf(node) {
		const parts = [];
		let at = 0;

		for (const [worst, part] of [...node.shares[unit]].sort((a, b) => a[0] - b[0])) {
			const to = at + 100 * part / node[unit];
			const colour = `rgb(var(--${data.classes[worst].colour}))`;
			parts.push(`${colour} ${at.toFixed(2)}% ${to.toFixed(2)}%`);
			at = to;
		}
		return `linear-gradient(90deg, ${parts.join(", ")})`;
	}

	const number = (value) => value.toLocaleString("en");
	const plural = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

	function describe(node) {
		const worst = data.classes[node.worst].title;
		return `${nameOf(node)}${moduleOf(node) ? ` in ${moduleOf(node)}` : ""}: ` +
			`${plural(node.stacks, "stack")}, ${plural(node.calls, "call")}, worst: ${worst}`;
	}

	function tell(node) {
		const place = node.place < 0 ? null : data.places[node.place];
		const found = [...node.findings].sort((a, b) => a - b);

		about.replaceChildren(makeElement("span", "mono", nameOf(node)));
		if (place)
			about.append(` in ${place[1]}${place[2] ? `, ${place[2]}` : ""}`);
		about.append(` \u2014 ${plural(node.stacks, "stack")}, ${plural(node.calls, "call")}` +
			` (${(100 * node[unit] / root[unit]).toFixed(1)} %), worst: `);
		about.append(makeElement("span", `dot ${data.classes[node.worst].colour}`),
			data.classes[node.worst].title);
		for (const finding of found.slice(0, 6)) {
			const link = makeElement("a", "", data.findings[finding]);
			link.href = `#${data.findings[finding]}`;
			about.append(finding === found[0] ? "; " : ", ", link);
		}
		if (found.length > 6)
			about.append(` and ${found.length - 6} more`);
	}

	function isWithin(node, ancestor) {
		while (node && node !== ancestor)
			node = node.parent;
		return Boolean(node);
	}

	function drawNode(node, left, width, pixels) {
		const share = (node.shares[unit].get(node.worst) || 0) / node[unit];
		const thin = pixels < 18;
		const box = makeElement("div", `f ${data.classes[node.worst].colour}`,
			thin ? undefined : nameOf(node));

		box.classList.toggle("thin", thin);
		box.classList.toggle("above", node !== top && isWithin(top, node));
		box.classList.toggle("hit", node.hit);
		box.style.left = `${left}%`;
		box.style.width = `max(${width}%, 1.5px)`;
		box.style.top = `${node.depth * ROW}px`;
		box.style.setProperty("--a", (0.16 + 0.39 * share).toFixed(2));
		box.style.setProperty("--s", stripOf(node));
		box.setAttribute("role", "treeitem");
		box.setAttribute("aria-level", node.depth + 1);
		box.setAttribute("aria-label", describe(node));
		box.title = describe(node);
		box.tabIndex = node === current ? 0 : -1;
		box.node = node;
		drawn.set(node, box);
		rows.append(box);
		return node.depth;
	}

	/* Returns the lowest row. What is narrower than half a pixel is left out, unless it is
	 * something to look at. */
	function drawBelow(node, left, width, all) {
		const pixels = width * all / 100;
		let lowest = drawNode(node, left, width, pixels);

		for (const child of childrenOf(node)) {
			const part = width * child[unit] / node[unit];
			const least = data.classes[child.worst].level === "error" ? 0.1 : 0.5;

			if (part * all / 100 >= least)
				lowest = Math.max(lowest, drawBelow(child, left, part, all));
			left += part;
		}
		return lowest;
	}

	function draw() {
		const all = Math.max(graph.clientWidth - 12, 100);
		let lowest;

		/* A session that ended before it saw a call. */
		if (!root.stacks) {
			byId("reset").disabled = true;
			return;
		}
		drawn.clear();
		rows.replaceChildren();
		for (let node = top.parent; node; node = node.parent)
			drawNode(node, 0, 100, all);
		lowest = drawBelow(top, 0, 100, all);
		rows.style.height = `${(lowest + 1) * ROW}px`;
		if (!drawn.has(current)) {
			current = top;
			drawn.get(top).tabIndex = 0;
		}
		byId("reset").disabled = top === root;
	}

	function focusOn(node) {
		if (!drawn.has(node))
			return;
		drawn.get(current).tabIndex = -1;
		current = node;
		drawn.get(node).tabIndex = 0;
		drawn.get(node).focus();
	}

	function zoom(node) {
		top = node;
		current = node;
		draw();
		tell(node);
	}

	function neighbour(node, step) {
		const all = node.parent ? childrenOf(node.parent).filter((one) => drawn.has(one)) : [];
		return all[all.indexOf(node) + step];
	}

	const moves = {
		ArrowUp: (node) => node.parent,
		ArrowDown: (node) => childrenOf(node).find((child) => drawn.has(child)),
		ArrowLeft: (node) => neighbour(node, -1),
		ArrowRight: (node) => neighbour(node, 1),
		Home: () => root,
	};

	graph.addEventListener("keydown", (event) => {
		const node = event.target.node;

		if (!node)
			return;
		if (moves[event.key]) {
			const next = moves[event.key](node);
			if (next)
				focusOn(next);
		} else if (event.key === "Enter" || event.key === " ") {
			zoom(node);
			drawn.get(node).focus();
		} else if (event.key === "Escape") {
			zoom(root);
			drawn.get(root).focus();
		} else {
			return;
		}
		event.preventDefault();
	});
	graph.addEventListener("click", (event) => {
		if (event.target.node)
			zoom(event.target.node);
	});
	for (const kind of ["mouseover", "focusin"]) {
		graph.addEventListener(kind, (event) => {
			if (event.target.node)
				tell(event.target.node);
		});
	}

	function markHits(node) {
		const text = `${nameOf(node)} ${moduleOf(node)}`.toLowerCase();
		let stacks = 0;

		node.hit = Boolean(wanted) && node.place >= 0 && text.includes(wanted);
		for (const child of node.children.values())
			stacks += markHits(child);
		return node.hit ? node.stacks : stacks;
	}

	byId("search").addEventListener("input", (event) => {
		wanted = event.target.value.trim().toLowerCase();
		const stacks = markHits(root);
		byId("hits").textContent = wanted ? `in ${plural(stacks, "stack")}` : "";
		draw();
	});
	byId("reset").addEventListener("click", () => zoom(root));
	for (const button of document.querySelectorAll("[data-unit]")) {
		button.addEventListener("click", () => {
			unit = button.dataset.unit;
			forgetOrder(root);
			for (const other of document.querySelectorAll("[data-unit]"))
				other.setAttribute("aria-pressed", String(other === button));
			draw();
			tell(current);
		});
	}
	new ResizeObserver(draw).observe(graph);
	window.addEventListener("hashchange", openTarget);
	setUpFilter();
	if (root.stacks)
		zoom(root);
	openTarget();
})();
