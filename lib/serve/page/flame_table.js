/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of a tree as a table that can be sorted. */

const ROWS_AT_ONCE = 300; /* more on demand: browsers are slow with long tables */

const COLUMNS = [
	{key: "self", title: "Self", value: (row) => row.self},
	{key: "total", title: "Total", value: (row) => row.total},
	{key: "selfChange", title: "Δ Self", compared: true, value: (row) => row.self - row.baseSelf},
	{key: "totalChange", title: "Δ Total", compared: true,
		value: (row) => row.total - row.baseTotal},
	{key: "name", title: "Function", value: (row) => row.name},
	{key: "place", title: "File", value: (row) => row.place},
];

class FlameTable {
	/* choose(name) is called with the function that somebody wants to see in the graph. */
	constructor(container, choose) {
		this.choose = choose;
		this.box = make("div", "flame-table-box", container);
		this.box.tabIndex = 0;
		this.box.setAttribute("role", "region");
		this.box.setAttribute("aria-label", "Table of functions");
		this.table = make("table", "flame-table", this.box);
		this.more = make("button", "flame-more", this.box, "Show more");
		this.more.type = "button";
		this.more.addEventListener("click", () => {
			this.limit += 10 * ROWS_AT_ONCE;
			this.fill();
		});
		this.sortedBy = {key: "self", down: true};
		this.text = "";
		this.limit = ROWS_AT_ONCE;
		this.tree = null;
		this.rows = null;
	}

	setTree(tree) {
		this.tree = tree;
		this.rows = null;
		this.limit = ROWS_AT_ONCE;
		this.render();
	}

	search(text) {
		this.text = text.toLowerCase();
		this.limit = ROWS_AT_ONCE;
		this.render();
	}

	columns() {
		return COLUMNS.filter((column) => !column.compared || this.tree.compared);
	}

	sort(key) {
		const isText = key === "name" || key === "place";

		this.sortedBy = {key, down: this.sortedBy.key === key ? !this.sortedBy.down : !isText};
		this.render();
		this.table.querySelector(`[data-key=${key}]`)?.focus();
	}

	/* Changes by size, up or down; equal ones by name. */
	sorted() {
		const {key, down} = this.sortedBy, way = down ? -1 : 1;
		const column = this.columns().find((c) => c.key === key) ?? COLUMNS[0];
		const value = column.compared ? (row) => Math.abs(column.value(row)) : column.value;
		const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

		return this.rows.filter((row) => row.name.toLowerCase().includes(this.text))
			.sort((a, b) => way * compare(value(a), value(b)) || b.total - a.total ||
				compare(a.name, b.name));
	}

	/* While nobody sees it there is nothing to do. */
	render() {
		if (!this.tree || this.box.hidden)
			return;
		this.rows ??= listFunctions(this.tree);
		const head = make("thead"), line = make("tr", "", head);

		for (const column of this.columns()) {
			const cell = make("th", `flame-column-${column.key}`, line);
			const button = make("button", "flame-sort", cell, column.title);

			cell.scope = "col";
			button.type = "button";
			button.dataset.key = column.key;
			button.addEventListener("click", () => this.sort(column.key));
			if (column.key === this.sortedBy.key) {
				const {down} = this.sortedBy;

				cell.setAttribute("aria-sort", down ? "descending" : "ascending");
				make("span", "flame-arrow", button, down ? " ▼" : " ▲")
					.setAttribute("aria-hidden", "true");
			}
		}
		this.body = make("tbody");
		this.table.replaceChildren(head, this.body);
		this.fill();
	}

	fill() {
		const rows = this.sorted();

		this.body.replaceChildren(...rows.slice(0, this.limit).map((row) => this.makeRow(row)));
		this.more.hidden = rows.length <= this.limit;
		this.more.textContent = `Show more of ${rows.length.toLocaleString("en")} functions`;
	}

	makeRow(row) {
		const line = make("tr"), {unit, root} = this.tree;

		for (const column of this.columns()) {
			const cell = make("td", `flame-column-${column.key}`, line), value = column.value(row);

			if (column.key === "name") {
				const button = make("button", "flame-link", cell, value);

				button.type = "button";
				button.title = "Show in the flame graph";
				button.addEventListener("click", () => this.choose(row.name));
			} else if (column.key === "place") {
				cell.textContent = value;
			} else if (column.compared) {
				cell.textContent = value ? formatChange(value, unit) : "";
				cell.classList.toggle("flame-more-than", value > 0);
				cell.classList.toggle("flame-less-than", value < 0);
			} else {
				make("span", "flame-amount", cell, formatValue(value, unit));
				cell.append(" "); /* for who copies it */
				make("span", "flame-share", cell, formatShare(value, root.value));
			}
		}
		return line;
	}
}
