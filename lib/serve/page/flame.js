/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as flame graph and as table, in any element of any page:
 *
 *	const flame = cprofFlame.create(element, {changed() {…}});
 *	flame.setProfile(profile);
 *
 * The profile is what lib/report/report_json.h describes. Needs flame.css; fetches nothing, and
 * leaves but `cprofFlame` behind. changed() is called after each change of what is shown.
 */

class Flame {
	constructor(container, options) {
		const changed = () => options.changed?.(this);

		container.classList.add("flame");
		this.view = new FlameView(container, changed);
		this.table = new FlameTable(container, (name) => {
			this.setMode("graph");
			options.searched?.(name);
			this.search(name);
			this.view.canvas.focus();
		});
		this.changed = changed;
		this.tree = null;
		this.text = "";
		this.matched = 0;
		this.setMode("graph");
	}

	/* filter: what threads have to be to count: any of name, tid, process, pid, as texts. */
	setProfile(profile, base = null, filter = {}) {
		this.tree = buildTree(profile, filter, base);
		this.matched = markMatches(this.tree, this.text);
		this.view.setTree(this.tree);
		this.table.setTree(this.tree);
	}

	/* Marks functions whose name holds a text; "" for none. */
	search(text) {
		this.text = text;
		this.view.searching = text !== "";
		if (this.tree) {
			this.matched = markMatches(this.tree, text);
			this.view.redraw();
			this.table.search(text);
		}
		this.changed();
	}

	/* "graph" or "table" */
	setMode(mode) {
		this.mode = mode;
		this.view.box.hidden = mode !== "graph";
		this.table.box.hidden = mode === "graph";
		this.view.resize();
		this.table.render();
		this.changed();
	}

	reset() {
		if (this.tree)
			this.view.zoom(this.tree.root);
	}

	setDark(dark) {
		this.view.dark = dark;
		this.view.redraw();
	}

	/* "12.3 %" of what is shown is in functions that the search found; "" without one. */
	matchedShare() {
		return this.tree && this.text ? formatShare(this.matched, this.tree.root.value) : "";
	}

	/* Is but a part shown in full width? */
	isZoomed() {
		return Boolean(this.view.focus?.parent);
	}
}

globalThis.cprofFlame = {
	create: (container, options = {}) => new Flame(container, options),
	listThreads, formatValue, formatShare,
};
