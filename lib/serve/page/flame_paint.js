/* SPDX-License-Identifier: Apache-2.0 */
/* The colours of frames, and texts that fit into them. */

/* Of libraries; the program's own functions are orange. All are told apart by lightness, too. */
const HUES = [205, 145, 265, 325, 175, 60, 235, 100];
const PROGRAM_HUE = 28;

/* FNV-1a: the same name has the same colour in every profile. */
function hashText(text) {
	let hash = 0x811c9dc5;

	for (let i = 0; i < text.length; i++)
		hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
	return (hash ^ (hash >>> 15)) >>> 0;
}

/* Which way and how far a frame changed, -1 … 1. */
function changeOf(node) {
	const most = Math.max(node.value, node.base);

	return most > 0 ? (node.value - node.base) / most : 0;
}

function hsl(hue, saturation, lightness) {
	return `hsl(${hue}, ${saturation}%, ${lightness}%)`;
}

/* Red grew, blue shrank, grey stayed. */
function changeColour(node, dark) {
	const change = changeOf(node), far = Math.min(1, Math.abs(change) * 1.25);

	if (Math.abs(change) < 0.02)
		return dark ? hsl(220, 5, 32) : hsl(220, 8, 85);
	return hsl(change > 0 ? 8 : 215, dark ? 18 + 47 * far : 35 + 50 * far,
		dark ? 33 + 9 * far : 86 - 18 * far);
}

/* What a frame is filled with. searching: others than the matches step back. */
function frameColour(node, tree, dark, searching) {
	const hash = hashText(node.name), shade = (hash % 7) - 3;

	if (node.matched)
		return dark ? hsl(48, 90, 58) : hsl(48, 100, 56);
	if (searching)
		return dark ? hsl(220, 6, 26 + shade) : hsl(220, 10, 88 + shade);
	if (tree.compared)
		return changeColour(node, dark);
	if (!node.parent || node.name.startsWith("["))
		return dark ? hsl(220, 9, 34 + shade) : hsl(220, 14, 82 + shade);

	const own = node.module === "" || node.module === tree.program;
	const hue = own ? PROGRAM_HUE : HUES[hashText(node.module) % HUES.length];

	return hsl(hue + ((hash >>> 8) % 15) - 7, dark ? 42 : own ? 92 : 62,
		(dark ? 36 : 74) + shade * 1.3);
}

/* Text is dark on what search found, in both themes. */
function textColour(node, dark, searching) {
	if (node.matched)
		return "#1a1400";
	if (searching)
		return dark ? "#a9adb8" : "#5d626e";
	return dark ? "#f3f3f5" : "#1b1c20";
}

/* As much of a name as fits, "" when that would say nothing. */
function fitText(name, width, charWidth) {
	const chars = Math.floor(width / charWidth);

	if (name.length <= chars)
		return name;
	return chars < 3 ? "" : name.slice(0, chars - 1) + "…";
}
