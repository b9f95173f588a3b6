/* SPDX-License-Identifier: Apache-2.0 */
/* Walking through the frames by keys, and what is said of the one chosen. */

/* The frame beside another in its row; itself where there is none that can be seen. */
function besideFrame(view, node, step) {
	const row = view.tree.rows[node.depth];

	for (let i = row.indexOf(node) + step; i >= 0 && i < row.length; i += step) {
		const [left, width] = view.extent(row[i]);

		if (left > view.canvas.clientWidth || left + width < 0)
			break;
		if (width >= SMALLEST)
			return row[i];
	}
	return node;
}

function largestChild(node) {
	let largest = node;

	for (const child of node.children.values())
		if (child.value > (largest === node ? 0 : largest.value))
			largest = child;
	return largest;
}

/* Below the root of what is shown keys stay in it; its callers can be walked to. */
function walkFrames(view, event) {
	const node = view.selected;

	if (!view.tree || event.ctrlKey || event.altKey || event.metaKey)
		return;
	switch (event.key) {
	case "ArrowDown":
		/* Out of a caller of what is shown only the way there is visible. */
		view.select(node.depth < view.focus.depth ? pathTo(view.focus, node.depth + 1)
							  : largestChild(node));
		break;
	case "ArrowUp":
		view.select(node.parent ?? node);
		break;
	case "ArrowLeft":
		view.select(besideFrame(view, node, -1));
		break;
	case "ArrowRight":
		view.select(besideFrame(view, node, 1));
		break;
	case "Home":
		view.select(view.focus);
		break;
	case "Enter":
	case " ":
		view.zoom(node);
		break;
	case "Backspace":
		view.zoom(view.focus.parent ?? view.focus);
		break;
	default:
		return;
	}
	event.preventDefault();
}

/* The caller of a frame that is in a row above. */
function pathTo(node, depth) {
	while (node.depth > depth)
		node = node.parent;
	return node;
}

/* A frame in words, as elements: names come from other programs and are never markup. */
function describeNode(tree, node) {
	const {unit, root} = tree, parts = [make("span", "flame-name", null, node.name)];
	const place = mainPlace(node);
	const add = (className, text) => parts.push(make("span", className, null, text));

	if (place)
		add("flame-place",
			place + (node.lines.size > 1 ? ` and ${node.lines.size - 1} more` : ""));
	if (node.module)
		add("flame-module", node.module);
	add("flame-value",
		`${formatValue(node.value, unit)} (${formatShare(node.value, root.value)})`);
	add("flame-self", `self ${formatValue(node.self, unit)}`);
	if (tree.compared)
		add("flame-change", `${formatChange(node.value - node.base, unit)} ` +
			`from ${formatValue(node.base, unit)}`);
	return parts;
}
