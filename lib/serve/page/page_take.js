/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a profile: the request, its progress, what the server says when it cannot. */

const MAX_MESSAGE = 2000; /* characters of a server's error */

const element = (id) => document.getElementById(id);

function showMessage(text) {
	element("message").textContent = text.slice(0, MAX_MESSAGE);
	element("message").hidden = text === "";
}

/* "threads" and "heap" are of one moment. */
function takesTime(type) {
	return type !== "threads" && type !== "heap";
}

function showProgress(began, seconds) {
	const gone = (performance.now() - began) / 1000;

	if (seconds && gone < seconds) {
		element("bar").value = gone / seconds;
		element("waiting").textContent = `${Math.ceil(seconds - gone)} s left`;
	} else {
		/* Without a value the bar says that nobody knows how long. */
		element("bar").removeAttribute("value");
		element("waiting").textContent = takesTime(element("type").value) ? "finding names"
			: "looking at threads";
	}
}

/* What a server's answer has to have, whatever else it is. */
function checkProfile(profile) {
	for (const list of ["names", "files", "modules", "frames", "processes", "threads", "stacks",
		"samples"])
		if (!Array.isArray(profile?.[list]))
			throw new Error("The answer is not a profile.");
	return profile;
}

/* Which process is asked: offered where there are several. They come and go, so the choice is kept
 * only as long as its process is there; what cannot be had leaves the list as it is. */
async function fillProcesses() {
	const select = element("from"), chosen = select.value;
	let targets;

	try {
		targets = await (await fetch("targets", {cache: "no-store"})).json();
	} catch {
		return;
	}
	if (!Array.isArray(targets) || document.activeElement === select)
		return;
	select.replaceChildren(new Option("all", ""));
	for (const {labels} of targets)
		select.append(new Option(`${labels.process} ${labels.pid}`, labels.pid));
	select.value = chosen;
	if (select.selectedIndex < 0)
		select.value = "";
	element("from-label").hidden = targets.length <= 1 && select.value === "";
}

/* Returns the profile; throws an Error whose message is for people. pid "": of all; past: what was
 * in the last seconds. */
async function fetchProfile({type, seconds, past, pid}, signal) {
	const path = `debug/pprof/${pid && `${pid}/`}${type}?` + (seconds ? `seconds=${seconds}&` : "") +
		(past ? "past=1&" : "") + "format=json";
	let answer;

	try {
		answer = await fetch(path, {signal, cache: "no-store"});
	} catch (error) {
		if (signal.aborted)
			throw error;
		throw new Error("The server does not answer. Has it ended?");
	}
	const text = await answer.text();

	if (!answer.ok)
		throw new Error(text.trim() || `The server answered ${answer.status}.`);
	try {
		return checkProfile(JSON.parse(text));
	} catch (error) {
		throw error instanceof SyntaxError ? new Error("The answer is not JSON.") : error;
	}
}

/* A server that samples all the time says how many seconds of the past it keeps. */
async function offerPast() {
	const answer = await fetch("", {method: "HEAD"}).catch(() => null);

	element("past-label").hidden = !answer?.headers.get("Cprof-Window");
}

/* One at a time; taken(type, profile, process) is called when it is there. */
function setUpTaking(taken) {
	let running = null;

	const take = async () => {
		const type = element("type").value;
		const seconds = takesTime(type) ? Number(element("seconds").value) : 0;
		const past = seconds > 0 && element("past").checked;
		const pid = element("from").value;
		const process = element("from").selectedOptions[0]?.textContent ?? "";
		const began = performance.now(), control = new AbortController();
		const timer = setInterval(() => showProgress(began, past ? 0 : seconds), 100);

		running = control;
		showMessage("");
		setBusy(true);
		showProgress(began, past ? 0 : seconds);
		try {
			taken(type, await fetchProfile({type, seconds, past, pid}, control.signal),
				pid && process);
		} catch (error) {
			if (!control.signal.aborted)
				showMessage(error.message);
		}
		clearInterval(timer);
		running = null;
		setBusy(false);
		fillProcesses();
	};

	element("take").addEventListener("submit", (event) => {
		event.preventDefault();
		if (!running)
			take();
	});
	element("cancel").addEventListener("click", () => running?.abort());
	element("type").addEventListener("change", () => {
		element("seconds").disabled = !takesTime(element("type").value);
	});
	element("seconds").disabled = !takesTime(element("type").value);
	offerPast();
	addEventListener("focus", fillProcesses);
	fillProcesses();
}

function setBusy(busy) {
	const hadFocus = document.activeElement;

	element("start").disabled = busy;
	element("cancel").hidden = !busy;
	element("progress").hidden = !busy;
	/* What has the focus must not go away under the keys. */
	if (busy && hadFocus === element("start"))
		element("cancel").focus();
	else if (!busy && hadFocus === element("cancel"))
		element("start").focus();
}
