/* SPDX-License-Identifier: Apache-2.0 */
/* The controls of the page: which of the profiles taken so far is shown, and how. */

const MAX_PROFILES = 30; /* kept; the oldest goes */

const TYPE_NAMES = Object.fromEntries(
	[...element("type").options].map((option) => [option.value, option.textContent]));

const state = {
	taken: [], /* {id, type, profile, process}, oldest first */
	shown: null,
	base: null,
	choices: {process: [], thread: []}, /* filters, in step with the options */
};

const flame = cprofFlame.create(element("flame"), {
	changed: (changed) => showState(changed),
	searched: (text) => {
		element("search").value = text;
	},
});

function titleOf({id, type, profile, process}) {
	const began = new Date(profile.time_ns / 1e6), parts = [`#${id}`, TYPE_NAMES[type] ?? type];

	if (process)
		parts.push(process);
	if (profile.duration_ns > 0)
		parts.push(cprofFlame.formatValue(profile.duration_ns, "nanoseconds"));
	if (profile.time_ns > 0)
		parts.push(began.toLocaleTimeString("en-GB"));
	return parts.join(" · ");
}

function addOption(select, text, value, chosen) {
	const option = document.createElement("option");

	option.textContent = text;
	option.value = value;
	option.selected = chosen;
	select.append(option);
}

/* The profiles to show, and those that the shown one can be compared with. */
function fillProfiles() {
	const {taken, shown, base} = state, like = (a, b) => a.profile.type === b.profile.type &&
		a.profile.unit === b.profile.unit;

	element("shown").replaceChildren();
	for (const one of taken)
		addOption(element("shown"), titleOf(one), one.id, one === shown);
	element("base").replaceChildren();
	addOption(element("base"), "nothing", "", !base);
	for (const one of taken)
		if (one !== shown && like(one, shown))
			addOption(element("base"), titleOf(one), one.id, one === base);
}

function describeThread(name, tid, value, total) {
	const share = cprofFlame.formatShare(value, total);

	return `${name || "without a name"} ${tid} (${share})`.replace("  ", " ");
}

/* Fills a list of filters, and chooses the one that was chosen if it is there again. */
function fillFilter(id, choices) {
	const before = JSON.stringify(state.choices[id][element(id).value] ?? {});
	let at = choices.findIndex(({filter}) => JSON.stringify(filter) === before);

	at = Math.max(at, 0);
	element(id).replaceChildren();
	choices.forEach(({text}, i) => addOption(element(id), text, i, i === at));
	state.choices[id] = choices.map(({filter}) => filter);
	return state.choices[id][at];
}

function processChoices(profile) {
	const sums = new Map();

	for (const {process, pid, value} of cprofFlame.listThreads(profile, {})) {
		const key = JSON.stringify([process, pid]);

		sums.set(key, {process, pid, value: (sums.get(key)?.value ?? 0) + value});
	}
	const choices = [...sums.values()].map(({process, pid, value}) => ({
		filter: {process, pid}, text: describeThread(process, pid, value, profile.total)}));

	return [{filter: {}, text: "all"}, ...choices];
}

/* Threads of one name can be chosen together: pools of workers are many alike. */
function threadChoices(profile, within) {
	const threads = cprofFlame.listThreads(profile, within), names = new Map();
	const choices = [{filter: {}, text: "all"}];

	for (const {name, value} of threads) {
		const sum = names.get(name) ?? {n: 0, value: 0};

		names.set(name, {n: sum.n + 1, value: sum.value + value});
	}
	for (const [name, {n, value}] of names)
		if (n > 1)
			choices.push({filter: {name},
				text: describeThread(name, `× ${n}`, value, profile.total)});
	for (const {name, tid, pid, value} of threads)
		choices.push({filter: {name, tid, pid},
			text: describeThread(name, tid, value, profile.total)});
	return choices;
}

/* Draws what is chosen; the lists of threads depend on the process. */
function apply() {
	const {profile} = state.shown, process = fillFilter("process", processChoices(profile));

	element("process-label").hidden = state.choices.process.length <= 2;
	flame.setProfile(profile, state.base?.profile,
		{...process, ...fillFilter("thread", threadChoices(profile, process))});
}

function show(shown, base) {
	state.shown = shown;
	state.base = base;
	element("empty").hidden = true;
	for (const id of ["flame", "tools", "summary"])
		element(id).hidden = false;
	fillProfiles();
	apply();
}

/* What is being shown, in one line, and buttons that say so. */
function showState(changed) {
	const graph = changed.mode === "graph", share = changed.matchedShare();

	element("graph").setAttribute("aria-pressed", graph);
	element("table").setAttribute("aria-pressed", !graph);
	element("reset").disabled = !graph || !changed.isZoomed();
	element("matched").textContent = share && `${share} matched`;
	if (!state.shown || !changed.tree)
		return;

	const {profile} = state.shown, {root} = changed.tree, parts = [profile.program, profile.type];
	const amount = (value) => cprofFlame.formatValue(value, profile.unit);

	parts.push(root.value === profile.total ? `total ${amount(profile.total)}`
		: `${amount(root.value)} of ${amount(profile.total)}`);
	if (profile.unit === "nanoseconds" && profile.duration_ns > 0)
		parts.push(`${(root.value / profile.duration_ns).toFixed(2)} threads on average`);
	if (state.base)
		parts.push(`compared with ${titleOf(state.base)}, ` +
			"scaled to the same length: red grew, blue shrank");
	parts.push(...profile.comments);
	element("summary").textContent = parts.filter(Boolean).join(" · ");
	document.title = `${profile.program || "cprof"} – ${profile.type}`;
}

function isTyping() {
	return document.activeElement?.matches("input, select");
}

function handleKey(event) {
	const isFind = (event.ctrlKey || event.metaKey) && event.key === "f";

	if (!state.shown || (!isFind && (event.ctrlKey || event.metaKey || event.altKey)))
		return;
	if (isFind || (event.key === "/" && !isTyping())) {
		element("search").focus();
		element("search").select();
	} else if (event.key === "Escape") {
		if (document.activeElement === element("search") && element("search").value) {
			element("search").value = "";
			flame.search("");
		} else {
			flame.reset();
		}
	} else if (event.key === "t" && !isTyping()) {
		flame.setMode(flame.mode === "graph" ? "table" : "graph");
	} else if (event.key === "Enter" && document.activeElement === element("search")) {
		(flame.mode === "graph" ? flame.view.canvas : flame.table.box).focus();
	} else {
		return;
	}
	event.preventDefault();
}

/* The choice is kept where the browser allows it; nothing depends on that. */
function setUpTheme() {
	const system = matchMedia("(prefers-color-scheme: dark)"), theme = element("theme");
	const paint = () => {
		const dark = theme.value === "dark" || (theme.value === "auto" && system.matches);

		document.documentElement.dataset.theme = dark ? "dark" : "light";
		flame.setDark(dark);
	};

	try {
		theme.value = localStorage.getItem("cprof-theme") ?? "auto";
	} catch {
		theme.value = "auto";
	}
	if (theme.selectedIndex < 0)
		theme.value = "auto";
	theme.addEventListener("change", () => {
		try {
			localStorage.setItem("cprof-theme", theme.value);
		} catch {
			/* Private windows may refuse. */
		}
		paint();
	});
	system.addEventListener("change", paint);
	paint();
}

function byId(id) {
	return state.taken.find((one) => String(one.id) === id) ?? null;
}

let lastId = 0;

setUpTheme();
setUpTaking((type, profile, process) => {
	const one = {id: ++lastId, type, profile, process};

	state.taken = [...state.taken, one].slice(-MAX_PROFILES);
	show(one, null);
	if (!isTyping())
		flame.view.canvas.focus();
});
element("shown").addEventListener("change", () => show(byId(element("shown").value), null));
element("base").addEventListener("change", () => show(state.shown, byId(element("base").value)));
element("process").addEventListener("change", apply);
element("thread").addEventListener("change", apply);
element("graph").addEventListener("click", () => flame.setMode("graph"));
element("table").addEventListener("click", () => flame.setMode("table"));
element("reset").addEventListener("click", () => flame.reset());
element("search").addEventListener("input", () => flame.search(element("search").value));
document.addEventListener("keydown", handleKey);
