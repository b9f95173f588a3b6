/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flame graph on a canvas, the root on top. The canvas is as large as what one sees of it and
 * stays in place while its surroundings scroll, so that neither depth nor width cost anything.
 */

const ROW = 20;       /* CSS pixels */
const PADDING = 4;    /* between the edge of a frame and its text */
const FONT_SIZE = 12;
const FONT = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
const SMALLEST = 1;   /* narrower ones become a strip, and cannot be walked to */

function make(tag, className, parent, text) {
	const element = document.createElement(tag);

	if (className)
		element.className = className;
	if (text !== undefined)
		element.textContent = text;
	parent?.append(element);
	return element;
}

class FlameView {
	/* changed() is called when what is shown in full width is another frame. */
	constructor(container, changed) {
		this.changed = changed;
		this.box = make("div", "flame-view", container);
		this.scroller = make("div", "flame-scroll", this.box);
		this.canvas = make("canvas", "flame-canvas", this.scroller);
		this.space = make("div", "flame-space", this.scroller);
		this.tip = make("div", "flame-tip", this.box);
		this.detail = make("div", "flame-detail", this.box);
		this.detail.id = "flame-detail";
		this.detail.setAttribute("role", "status");
		this.tip.hidden = true;
		this.canvas.tabIndex = 0;
		this.canvas.setAttribute("role", "application");
		this.canvas.setAttribute("aria-roledescription", "flame graph");
		this.canvas.setAttribute("aria-label",
			"Flame graph. Arrow keys move between frames, Enter zooms, Escape shows all.");
		this.canvas.setAttribute("aria-describedby", this.detail.id);
		this.context = this.canvas.getContext("2d");
		this.tree = null;
		this.focus = this.selected = this.hovered = null;
		this.dark = this.searching = false;
		this.drawnFrames = 0;
		this.listen();
	}

	listen() {
		this.scroller.addEventListener("scroll", () => this.redraw());
		this.canvas.addEventListener("pointermove", (event) => this.point(event));
		this.canvas.addEventListener("pointerleave", () => this.hover(null));
		this.canvas.addEventListener("click", (event) => {
			const node = this.nodeAt(event);

			if (node)
				this.zoom(node);
		});
		this.canvas.addEventListener("focus", () => this.redraw());
		this.canvas.addEventListener("blur", () => this.redraw());
		this.canvas.addEventListener("keydown", (event) => walkFrames(this, event));
		new ResizeObserver(() => this.resize()).observe(this.scroller);
		/* Zooming the page changes the pixels, not always the size. */
		window.addEventListener("resize", () => this.redraw());
	}

	/* Shows another tree; what was zoomed into and chosen stays so if the tree has it. */
	setTree(tree) {
		const find = (node) => {
			const path = [];
			let found = tree.root;

			for (let at = node; at?.parent; at = at.parent)
				path.push(at.name);
			for (const name of path.reverse()) {
				const child = found.children.get(name);

				if (!child || child.value <= 0)
					return null;
				found = child;
			}
			return found;
		};

		this.focus = (this.focus && find(this.focus)) ?? tree.root;
		this.selected = (this.selected && find(this.selected)) ?? tree.root;
		this.hovered = null;
		this.tip.hidden = true;
		this.tree = tree;
		this.resize();
		this.describe();
		this.changed();
	}

	zoom(node) {
		this.focus = this.selected = node;
		this.hover(null);
		this.reveal();
		this.changed();
	}

	select(node) {
		this.selected = node;
		this.reveal();
	}

	reveal() {
		const top = this.selected.depth * ROW, seen = this.scroller.clientHeight;

		if (top < this.scroller.scrollTop)
			this.scroller.scrollTop = top;
		else if (top + ROW > this.scroller.scrollTop + seen)
			this.scroller.scrollTop = top + ROW - seen;
		this.describe();
		this.redraw();
	}

	resize() {
		const seen = this.scroller.clientHeight, rows = this.tree ? this.tree.rows.length : 0;

		this.space.style.height = `${Math.max(0, rows * ROW - seen)}px`;
		this.redraw();
	}

	/* Where a frame is drawn: [left, width] in CSS pixels; ancestors of the focus are as wide as
	 * all. */
	extent(node, width = this.canvas.clientWidth) {
		const {focus} = this;
		const scale = focus.value > 0 ? width / focus.value : 0;
		const left = (node.x - focus.x) * scale, right = left + node.value * scale;

		return [Math.max(0, left), Math.min(width, right) - Math.max(0, left)];
	}

	/* The first of a row that ends right of what the focus begins with. */
	firstSeen(row) {
		const {focus} = this;
		let low = 0, high = row.length;

		while (low < high) {
			const middle = (low + high) >> 1;

			if (row[middle].x + row[middle].value <= focus.x)
				low = middle + 1;
			else
				high = middle;
		}
		return low;
	}

	/* The frames of a row that can be seen, from left to right. */
	*seen(depth) {
		const row = this.tree.rows[depth] ?? [], end = this.focus.x + this.focus.value;

		for (let i = this.firstSeen(row); i < row.length && row[i].x < end; i++)
			yield row[i];
	}

	nodeAt(event) {
		const box = this.canvas.getBoundingClientRect();
		const x = event.clientX - box.left, y = event.clientY - box.top + this.scroller.scrollTop;

		if (!this.tree)
			return null;
		for (const node of this.seen(Math.floor(y / ROW))) {
			const [left, width] = this.extent(node);

			if (x >= left && x < left + Math.max(width, SMALLEST))
				return node;
		}
		return null;
	}

	point(event) {
		const box = this.box.getBoundingClientRect();

		this.hover(this.nodeAt(event));
		if (this.tip.hidden)
			return;
		/* Beside the pointer, on the side where there is room. */
		const x = event.clientX - box.left, y = event.clientY - box.top;
		const {offsetWidth: width, offsetHeight: height} = this.tip;

		this.tip.style.left = `${Math.max(4, Math.min(x + 14, box.width - width - 4))}px`;
		this.tip.style.top = `${y + 18 + height > box.height ? y - height - 8 : y + 18}px`;
	}

	hover(node) {
		this.canvas.style.cursor = node ? "pointer" : "";
		if (node === this.hovered)
			return;
		this.hovered = node;
		this.tip.hidden = !node;
		if (node)
			this.tip.replaceChildren(...describeNode(this.tree, node));
		this.redraw();
	}

	describe() {
		this.detail.replaceChildren(...describeNode(this.tree, this.selected));
	}

	/* Draws before the next picture, once, however often it is called. */
	redraw() {
		this.frame ??= requestAnimationFrame(() => {
			this.frame = undefined;
			this.draw();
		});
	}

	draw() {
		const {canvas, context, scroller} = this, ratio = window.devicePixelRatio || 1;
		const width = scroller.clientWidth, height = scroller.clientHeight;

		if (!width || !height)
			return;
		canvas.style.height = `${height}px`;
		if (canvas.width !== Math.round(width * ratio) ||
		    canvas.height !== Math.round(height * ratio)) {
			canvas.width = Math.round(width * ratio);
			canvas.height = Math.round(height * ratio);
		}
		this.ratio = ratio;
		context.clearRect(0, 0, canvas.width, canvas.height);
		context.font = `${FONT_SIZE * ratio}px ${FONT}`;
		context.textBaseline = "middle";
		this.charWidth = context.measureText("0").width;
		this.drawnFrames = 0;
		if (!this.tree)
			return;

		const first = Math.floor(scroller.scrollTop / ROW);
		const last = Math.ceil((scroller.scrollTop + height) / ROW);

		for (let depth = first; depth < last && depth < this.tree.rows.length; depth++)
			this.drawRow(depth);
		this.drawMarks();
		canvas.dataset.drawn = this.drawnFrames;
	}

	/* Where a row begins and ends on the canvas, in its own pixels. Frames fill whole ones, or
	 * their edges would be blurred. */
	rowEdges(depth) {
		const top = depth * ROW - this.scroller.scrollTop;

		return [Math.round(top * this.ratio), Math.round((top + ROW) * this.ratio)];
	}

	drawRow(depth) {
		const {context, dark, searching, ratio} = this, [top, bottom] = this.rowEdges(depth);
		const width = this.canvas.clientWidth, padding = PADDING * ratio;
		let filled = -1;

		context.globalAlpha = depth < this.focus.depth ? 0.6 : 1;
		for (const node of this.seen(depth)) {
			const [from, size] = this.extent(node, width), left = Math.round(from * ratio);
			const right = Math.max(left + 1, Math.round((from + size) * ratio));

			/* Of many thin ones in one pixel, the first. */
			if (left < filled && right <= filled && !node.matched)
				continue;
			filled = right;
			this.drawnFrames++;
			context.fillStyle = frameColour(node, this.tree, dark, searching);
			/* A gap beside those that are wide enough. */
			context.fillRect(left, top, right - left - (right - left > 2 * ratio ? 1 : 0),
				bottom - top - 1);

			const room = right - left - 2 * padding;
			const text = fitText(node.name, room, this.charWidth);

			if (text) {
				context.fillStyle = textColour(node, dark, searching);
				/* Squeezes what has wider characters. */
				context.fillText(text, left + padding, (top + bottom) / 2, room);
			}
		}
		context.globalAlpha = 1;
	}

	/* What the pointer is on, and what the keys are. */
	drawMarks() {
		const {context, dark, ratio} = this, focused = document.activeElement === this.canvas;

		for (const node of [this.hovered, focused ? this.selected : null]) {
			if (!node)
				continue;
			const [left, width] = this.extent(node), [top, bottom] = this.rowEdges(node.depth);
			const line = Math.round((node === this.hovered ? 1 : 2) * ratio);

			if (width < 0)
				continue;
			context.lineWidth = line;
			context.strokeStyle = dark ? "#ffffff" : "#000000";
			context.strokeRect(Math.round(left * ratio) + line / 2, top + line / 2,
				Math.max(1, Math.round(width * ratio) - 1 - line), bottom - top - 1 - line);
		}
	}
}
