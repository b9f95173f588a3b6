/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of calls out of profiles in JSON (lib/report/report_json.h says what that looks like).
 * Knows no page. Nothing here recurses: stacks may be deeper than a browser's own.
 */

const UNITS = {
	nanoseconds: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]],
	bytes: [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]],
};

/* A value in a unit that suits its size: "1.23 s", "450 ms", "12". */
function formatValue(value, unit) {
	const units = UNITS[unit];

	if (!units)
		return Math.round(value).toLocaleString("en") + (unit === "count" ? "" : " " + unit);
	if (value === 0)
		return "0";

	const size = Math.abs(value);
	const [factor, name] = units.find(([f]) => size >= f) ?? units[units.length - 1];

	return `${Number((value / factor).toPrecision(3)).toLocaleString("en")} ${name}`;
}

function formatShare(value, total) {
	const share = total ? (100 * value) / total : 0;

	return `${share.toFixed(Math.abs(share) >= 99.95 ? 0 : Math.abs(share) >= 10 ? 1 : 2)} %`;
}

/* A positive sign is what tells a change from a value. */
function formatChange(value, unit) {
	return (value > 0 ? "+" : "") + formatValue(value, unit);
}

/* A name that came from another program: what has no shape of its own, or turns the order of others
 * around (Unicode's bidirectional controls), becomes '?'. */
function cleanName(name) {
	return name.replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "?");
}

/* Who a sample belongs to: {name, tid, process, pid}. */
function threadOf(profile, index) {
	const [name, tid, process] = profile.threads[index];
	const [processName, pid] = profile.processes[process];

	return {name: cleanName(name), tid, process: cleanName(processName), pid};
}

/* Is a thread chosen? What a filter does not name may be anything. */
function isKept(thread, filter) {
	return Object.keys(filter).every((key) => filter[key] === thread[key]);
}

/* The threads of a profile with their values, largest first. */
function listThreads(profile, filter) {
	const threads = profile.threads.map((_, i) => ({...threadOf(profile, i), value: 0}));

	for (let i = 0; i < profile.samples.length; i += 3)
		threads[profile.samples[i + 2]].value += profile.samples[i];
	return threads.filter((thread) => isKept(thread, filter)).sort((a, b) => b.value - a.value);
}

function makeNode(name, parent) {
	return {
		name, parent, depth: parent ? parent.depth + 1 : 0, children: new Map(),
		value: 0, self: 0,    /* of the profile that is shown … */
		base: 0, baseSelf: 0, /* … and of the one it is compared with */
		x: 0,                 /* how much lies left of it, in the unit of value */
		matched: false,
		module: "", lines: new Map(), /* of the shown one: "file:line" → value */
	};
}

function placeText(profile, frame) {
	const file = cleanName(profile.files[profile.frames[4 * frame + 1]]);
	const line = profile.frames[4 * frame + 3];

	return line ? `${file}:${line}` : file;
}

/* Adds a profile to a tree; factor scales a base to the length of what is shown. */
function addProfile(root, profile, filter, factor, isBase) {
	const {samples, stacks, frames} = profile;
	const names = profile.names.map(cleanName), modules = profile.modules.map(cleanName);
	const n = stacks.length / 2 + 1;
	const own = new Float64Array(n), all = new Float64Array(n), used = new Uint8Array(n);
	const nodes = new Array(n);
	const kept = profile.threads.map((_, i) => isKept(threadOf(profile, i), filter));
	const add = (node, self, value) => {
		node[isBase ? "baseSelf" : "self"] += self * factor;
		node[isBase ? "base" : "value"] += value * factor;
	};

	for (let i = 0; i < samples.length; i += 3)
		if (kept[samples[i + 2]]) {
			own[samples[i + 1]] += samples[i];
			used[samples[i + 1]] = 1;
		}
	/* Callers have smaller numbers: sums go down, nodes are made going up. */
	all.set(own);
	for (let i = n - 1; i > 0; i--)
		if (used[i]) {
			all[stacks[2 * i - 2]] += all[i];
			used[stacks[2 * i - 2]] = 1;
		}
	nodes[0] = root;
	add(root, own[0], all[0]);
	for (let i = 1; i < n; i++) {
		if (!used[i])
			continue;
		const parent = nodes[stacks[2 * i - 2]], frame = stacks[2 * i - 1];
		const name = names[frames[4 * frame]];
		let node = parent.children.get(name);

		if (!node) {
			node = makeNode(name, parent);
			node.module = modules[frames[4 * frame + 2]];
			parent.children.set(name, node);
		}
		nodes[i] = node;
		add(node, own[i], all[i]);
		if (!isBase || !node.lines.size) {
			const place = placeText(profile, frame);

			if (place)
				node.lines.set(place, (node.lines.get(place) ?? 0) + (isBase ? 0 : all[i]));
		}
	}
}

/* Gives every node its place, children largest first; returns the rows, each from left to right.
 * What only a base has, has no width. */
function layOut(root) {
	const rows = [], pending = [root];

	while (pending.length) {
		const node = pending.pop();
		const children = [...node.children.values()].filter((child) => child.value > 0);
		let x = node.x;

		(rows[node.depth] ??= []).push(node);
		children.sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
		for (const child of children) {
			child.x = x;
			x += child.value;
		}
		for (const child of children.reverse())
			pending.push(child);
	}
	return rows;
}

/* The tree of a profile: {root, rows, unit, base}. Functions of one name below the same callers are
 * one node. With a base, nodes have the values of both. */
function buildTree(profile, filter, base) {
	const root = makeNode("all", null);
	const factor =
		base?.duration_ns > 0 && profile.duration_ns > 0 ? profile.duration_ns / base.duration_ns : 1;

	addProfile(root, profile, filter, 1, false);
	if (base)
		addProfile(root, base, filter, factor, true);
	return {
		root, rows: layOut(root), unit: profile.unit, compared: Boolean(base),
		program: profile.program,
	};
}

/* Marks the nodes whose names hold a text; returns the value of all below marked ones. */
function markMatches(tree, text) {
	const wanted = text.toLowerCase(), pending = [[tree.root, false]];
	let sum = 0;

	while (pending.length) {
		const [node, below] = pending.pop();

		node.matched = wanted !== "" && node.parent !== null &&
			node.name.toLowerCase().includes(wanted);
		if (node.matched && !below)
			sum += node.value;
		for (const child of node.children.values())
			pending.push([child, below || node.matched]);
	}
	return sum;
}

/* One row per function, as in `cprof report`: recursive ones count once per stack. */
function listFunctions(tree) {
	const functions = new Map(), onPath = new Map(), pending = [[tree.root, false]];

	while (pending.length) {
		const [node, left] = pending.pop();
		const {name} = node, depth = onPath.get(name) ?? 0;

		if (left) {
			onPath.set(name, depth - 1);
			continue;
		}
		if (node.parent) {
			let row = functions.get(name);

			if (!row) {
				row = {name, place: "", most: -1, self: 0, total: 0, baseSelf: 0, baseTotal: 0};
				functions.set(name, row);
			}
			row.self += node.self;
			row.baseSelf += node.baseSelf;
			if (depth === 0) {
				row.total += node.value;
				row.baseTotal += node.base;
			}
			if (node.value > row.most) {
				row.most = node.value;
				row.place = mainPlace(node) || node.module;
			}
			onPath.set(name, depth + 1);
			pending.push([node, true]);
		}
		for (const child of node.children.values())
			pending.push([child, false]);
	}
	return [...functions.values()];
}

/* Of several lines of a node the one with the most. */
function mainPlace(node) {
	let best = "", most = -Infinity;

	for (const [place, value] of node.lines)
		if (value > most)
			[best, most] = [place, value];
	return best;
}
