/*
 * Draws the page from the digest in the element `data` (monitor/cli/report/digest_json.c). Names in it are the guest's: they
 * become text (textContent, and labels drawn on a canvas), never markup.
 */
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const charts = [];

/* ------------------------------------------------------------------------------------------------------ numbers */

function list(value) {
	return Array.isArray(value) ? value : [];
}

function entries(part) {
	return part && part.entries ? part.entries : [];
}

function amount(value) {
	return Number.isFinite(value) ? value : 0;
}

function text(value) {
	return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function digits(value) {
	return value.toPrecision(3).replace(/\.0+$|(\.\d*?)0+$/, "$1");
}

function time(ns) {
	for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]])
		if (ns >= size)
			return (ns / size >= 1000 ? Math.round(ns / size) : digits(ns / size)) + " " + unit;
	return Math.round(ns) + " ns";
}

function size(bytes) {
	for (const [unit, one] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]])
		if (bytes >= one)
			return (bytes / one >= 1000 ? Math.round(bytes / one) : digits(bytes / one)) + " " + unit;
	return bytes + " B";
}

function many(value) {
	return value.toLocaleString("en");
}

function percent(part, whole) {
	return whole > 0 ? digits(100 * part / whole) + " %" : "";
}

/* Two bins an octave: 2^n and 1.5 * 2^n. Bins 0 to 2 hold 0, 1 and nothing else. */
function binStart(bin) {
	return bin < 2 ? 0 : 2 ** Math.floor(bin / 2) * (bin % 2 ? 1.5 : 1);
}

/* The middle of the bin that the given share of all lies below. */
function quantile(costs, share) {
	let left = share * costs.count;

	for (let bin = 0; bin < costs.bins.length; bin++) {
		left -= costs.bins[bin];
		if (left <= 0)
			return Math.min((binStart(bin) + binStart(bin + 1)) / 2, costs.max);
	}
	return costs.max;
}

/* ------------------------------------------------------------------------------------------------------ elements */

function element(name, content, className) {
	const made = document.createElement(name);

	if (content !== undefined)
		made.textContent = content;
	if (className)
		made.className = className;
	return made;
}

function byId(id) {
	return document.getElementById(id);
}

function warn(message) {
	byId("warnings").append(element("li", message));
}

function fact(name, value) {
	const box = element("div");

	box.append(element("dt", name), element("dd", value));
	byId("facts").append(box);
}

/* columns: [title, class]; rows: lists of strings, or of elements */
function table(id, columns, rows) {
	const head = element("tr"), body = element("tbody"), thead = element("thead");

	for (const [title, className] of columns)
		head.append(element("th", title, className));
	thead.append(head);
	for (const row of rows) {
		const line = element("tr");
		row.forEach((cell, i) => line.append(cell instanceof Element ? cell : element("td", cell, columns[i][1])));
		body.append(line);
	}
	byId(id).append(thead, body);
}

/* Instead of a chart that would be empty. */
function nothing(canvasId, why) {
	byId(canvasId).parentElement.replaceWith(element("p", why, "empty"));
}

/* -------------------------------------------------------------------------------------------------------- charts */

/* Told apart on light and on dark ground. */
const palette = ["#4269d0", "#d99a00", "#3ca951", "#ff725c", "#a463f2", "#17a2b8", "#e0569b", "#9c6b4e", "#7f8ea3", "#8fae1b"];
const fixed = {
	hypercall: "#4269d0", privileged: "#d99a00", clustered: "#f0c75e", shadow_fill: "#3ca951", page_fault: "#ff725c",
	exception: "#a463f2", syscall: "#17a2b8", direct: "#7fd0dc", soft_int: "#e0569b", kick: "#7f8ea3", halt: "#b0b7c3",
	unmappable: "#9c6b4e", interpreted: "#8fae1b",
};

function colour(name, index) {
	return Object.hasOwn(fixed, name) ? fixed[name] : palette[index % palette.length];
}

function ground(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function applyColours(chart) {
	const textColour = ground("--text"), line = ground("--line");

	chart.options.color = textColour;
	for (const axis of Object.values(chart.options.scales)) {
		axis.ticks.color = textColour;
		axis.title.color = textColour;
		axis.grid.color = line;
		axis.grid.borderColor = line;
	}
	chart.update("none");
}

function axis(title, more) {
	return Object.assign({title: {display: Boolean(title), text: title}, ticks: {}, grid: {}}, more);
}

function draw(id, config) {
	config.options = Object.assign({animation: false, responsive: true, maintainAspectRatio: false}, config.options);
	const chart = new Chart(byId(id), config);

	charts.push(chart);
	applyColours(chart);
}

function legend(shown) {
	return {display: shown, position: "bottom", labels: {boxWidth: 12, boxHeight: 12}};
}

/* Decimals on the axis: what is counted has none. */
function whole(label) {
	return label === many ? 0 : undefined;
}

/* Bars to the right, one a line; the box grows with them. */
function barsAcross(id, labels, datasets, title, label, stacked) {
	byId(id).parentElement.style.height = (5 + 1.7 * labels.length) + "rem";
	draw(id, {
		type: "bar",
		data: {labels, datasets},
		options: {
			indexAxis: "y",
			scales: {
				x: axis(title, {stacked, beginAtZero: true, ticks: {callback: label, maxTicksLimit: 8, precision: whole(label)}}),
				y: axis("", {stacked, ticks: {autoSkip: false}}),
			},
			plugins: {
				legend: legend(datasets.length > 1),
				tooltip: {callbacks: {label: (item) => (item.dataset.label ? item.dataset.label + ": " : "") +
					label(item.parsed.x)}},
			},
		},
	});
}

/* Bars side by side without gaps: a time or a histogram. */
function barsUp(id, labels, datasets, titles, label) {
	for (const set of datasets)
		Object.assign(set, {barPercentage: 1, categoryPercentage: labels.length > 60 ? 1 : 0.95});
	draw(id, {
		type: "bar",
		data: {labels, datasets},
		options: {
			scales: {
				x: axis(titles[0], {stacked: true, ticks: {maxRotation: 0, autoSkipPadding: 24}, grid: {display: false}}),
				y: axis(titles[1], {stacked: true, beginAtZero: true, max: titles[2], ticks: {callback: label, precision: whole(label)}}),
			},
			plugins: {
				legend: legend(datasets.length > 1),
				tooltip: {mode: "index", filter: (item) => item.parsed.y > 0,
					callbacks: {label: (item) => item.dataset.label + ": " + label(item.parsed.y)}},
			},
		},
	});
}

/* ------------------------------------------------------------------------------------------------------ sections */

const reasons = list(data.reasons).slice().sort((a, b) => b.exits - a.exits);
const working = reasons.filter((reason) => reason.name !== "halt" && reason.costs.count);
const header = data.header || {}, summary = data.summary;

function showHead() {
	const words = list(entries(data.arguments)).map(text);
	const total = reasons.reduce((sum, reason) => sum + reason.exits, 0);

	byId("title").textContent = "ring3: " + (text(header.image).split("/").pop() || "a guest");
	document.title = byId("title").textContent;
	byId("subtitle").textContent = words.length ? "ring3 " + words.join(" ") : data.trace;
	fact("engine", text(header.engine) || "?");
	fact("transport", text(header.transport) || "?");
	fact("RAM", size(amount(header.ram_bytes)));
	fact("exits", many(total));
	fact("events", many(data.events));
	if (summary) {
		fact("time", time(amount(summary.ns)));
		fact("exit status", text(summary.exit_status));
	}
	if (summary && summary.exit_reason)
		warn("The guest was ended: " + text(summary.exit_reason));
	if (data.bad)
		warn(many(data.bad) + " of " + many(data.lines) + " lines of the trace could not be understood; they are left out.");
	if (!data.header || !data.header.schema)
		warn("The trace has no header: how the guest was run is not known.");
	if (!summary)
		warn("The trace has no summary: it was cut off. Page tables, sensitive instructions and hypercalls are missing.");
	byId("footer").textContent = "Made by ring3 " + data.ring3 + " from " + data.trace + ", " + many(data.lines) +
		" lines. Charts: Chart.js, MIT licence.";
}

function showTimeline() {
	const first = list(data.guest).findIndex((ns, i) => ns || data.monitor[i] || data.halted[i]);
	const labels = Array.from({length: data.buckets - first}, (_, i) => time((first + i) * data.bucket_ns));
	const share = (values) => values.slice(first).map((ns) => 100 * ns / data.bucket_ns);

	if (!reasons.length) {
		nothing("chart-exits", "The trace has no exits: it was made without them.");
		nothing("chart-share", "");
		return;
	}
	barsUp("chart-exits", labels, reasons.map((reason, i) => ({
		label: reason.name, data: reason.buckets.slice(first), backgroundColor: colour(reason.name, i),
	})), ["since ring3 was started; a bar is " + time(data.bucket_ns), "exits"], many);
	barsUp("chart-share", labels, [
		{label: "guest", data: share(data.guest), backgroundColor: palette[2]},
		{label: "monitor", data: share(data.monitor), backgroundColor: palette[1]},
		{label: "halted", data: share(data.halted), backgroundColor: fixed.halt},
	], ["", "% of the time", 100], (value) => digits(value) + " %");
}

function showTime() {
	const parts = [{name: "guest code", ns: data.guest_ns, shade: palette[2]}];

	if (!reasons.length) {
		nothing("chart-time", "The trace has no exits.");
		return;
	}
	working.forEach((reason, i) => parts.push({name: reason.name, ns: reason.costs.total, shade: colour(reason.name, i)}));
	for (const reason of reasons.filter((one) => one.name === "halt"))
		parts.push({name: "halted", ns: reason.costs.total, shade: fixed.halt});
	parts.sort((a, b) => b.ns - a.ns);
	const whole = parts.reduce((sum, part) => sum + part.ns, 0);
	barsAcross("chart-time", parts.map((part) => part.name + "  " + percent(part.ns, whole)), [{
		data: parts.map((part) => part.ns), backgroundColor: parts.map((part) => part.shade),
	}], "", time, false);
}

/* The bins from the first to the last that holds anything. */
function histogram(id, sets, titles) {
	const used = sets[0].bins.map((_, bin) => bin).filter((bin) => sets.some((set) => set.bins[bin]));
	const first = used[0], last = used[used.length - 1] + 1;
	const labels = Array.from({length: last - first}, (_, i) => time(binStart(first + i)));

	barsUp(id, labels, sets.map((set) => ({
		label: set.label, data: set.bins.slice(first, last), backgroundColor: set.shade,
	})), titles, many);
}

function showCosts() {
	if (!working.length) {
		nothing("chart-costs", "The trace has no exits but halts.");
		return;
	}
	histogram("chart-costs", working.map((reason, i) => ({
		label: reason.name, bins: reason.costs.bins, shade: colour(reason.name, i),
	})), ["cost, from", "exits"]);
	table("table-costs", [["reason"], ["exits", "number"], ["in all", "number"], ["mean", "number"],
		["median, about", "number"], ["99 % below, about", "number"], ["longest", "number"]],
	reasons.map((reason) => [reason.name, many(reason.exits)].concat(reason.costs.count ? [time(reason.costs.total),
		time(reason.costs.total / reason.costs.count), time(quantile(reason.costs, 0.5)),
		time(quantile(reason.costs, 0.99)), time(reason.costs.max)] : ["with the exit before", "", "", "", ""])));
}

function showPlaces() {
	const places = list(data.places).filter((place) => place.cost > 0);

	if (!places.length) {
		nothing("chart-places", "The trace has no exits that cost anything.");
		return;
	}
	const label = (place) => place.symbol || place.rip;
	barsAcross("chart-places", places.map((place) => label(place).slice(0, 48)), [{
		data: places.map((place) => place.cost), backgroundColor: palette[0],
	}], "cost of its exits", time, false);
	table("table-places", [["address", "code"], ["symbol", "code"], ["exits", "number"], ["cost in all", "number"],
		["mean", "number"], ["reasons"]],
	places.map((place) => [place.rip, place.symbol, many(place.count), time(place.cost), time(place.cost / place.count),
		Object.entries(place.reasons).sort((a, b) => b[1] - a[1]).map(([name, n]) => name + " " + many(n)).join(", ")]));
}

function showSensitive() {
	const ways = ["trapped", "clustered", "interpreted"], shades = [palette[1], "#f0c75e", palette[9]];
	const met = (one) => ways.reduce((sum, way) => sum + amount(one[way]), 0);
	const all = list(entries(data.sensitive)).filter((one) => one && met(one) > 0).sort((a, b) => met(b) - met(a));

	if (!all.length) {
		nothing("chart-sensitive", summary ? "The monitor met none: a paravirtual guest can do without." : "Not recorded.");
		return;
	}
	barsAcross("chart-sensitive", all.map((one) => text(one.instruction).slice(0, 32)), ways.map((way, i) => ({
		label: way, data: all.map((one) => amount(one[way])), backgroundColor: shades[i],
	})), "times", many, true);
	table("table-sensitive", [["instruction", "code"], ...ways.map((way) => [way, "number"]), ["raised", "number"]],
		all.map((one) => [text(one.instruction), ...ways.concat("raised").map((way) => many(amount(one[way])))]));
}

function showHypercalls() {
	const calls = Object.entries(data.hypercalls ? data.hypercalls.entries : {}).filter(([, n]) => amount(n) > 0)
		.sort((a, b) => b[1] - a[1]);

	if (!calls.length) {
		nothing("chart-hypercalls", summary ? "None was made." : "Not recorded.");
		return;
	}
	barsAcross("chart-hypercalls", calls.map(([name]) => name.slice(0, 32)), [{
		data: calls.map(([, n]) => n), backgroundColor: fixed.hypercall,
	}], "calls, those in multicalls included", many, false);
}

function showLatency() {
	const waits = data.waits;

	if (!waits.count) {
		nothing("chart-latency", "No interrupt was delivered.");
		return;
	}
	histogram("chart-latency", [{label: "interrupts", bins: waits.bins, shade: palette[0]}], ["waited, from", "interrupts"]);
	byId("latency-figures").textContent = many(waits.count) + " interrupts; half of them waited less than about " +
		time(quantile(waits, 0.5)) + ", 99 % less than about " + time(quantile(waits, 0.99)) + ", the longest " +
		time(waits.max) + ".";
}

/* -------------------------------------------------------------------------------------------------- page tables */

function word(value) {
	return typeof value === "string" && /^0x[0-9a-f]{1,16}$/.test(value) ? BigInt(value) : null;
}

function run(entry) {
	const start = word(entry && entry.gva), gpa = word(entry && entry.gpa), bytes = entry && entry.bytes;

	if (start === null || gpa === null || !Number.isSafeInteger(bytes) || bytes <= 0)
		return null;
	return {start, end: start + BigInt(bytes), gpa, bytes, root: text(entry.root), space: text(entry.space),
		rights: text(entry.rights)};
}

function hex(value) {
	return "0x" + value.toString(16);
}

function range(one) {
	return hex(one.start) + " – " + hex(one.end - 1n);
}

/* What of a guest's run lies in the shadow table, clipped to it. */
function beneath(one, shadow) {
	return shadow.filter((s) => s.root === one.root && s.start < one.end && s.end > one.start).map((s) => {
		const start = s.start > one.start ? s.start : one.start, end = s.end < one.end ? s.end : one.end;
		return Object.assign({}, s, {start, end, gpa: s.gpa + (start - s.start), bytes: Number(end - start)});
	});
}

/* The guest's "urwx" against the processor's "rwx". */
function compare(one, parts, space) {
	const covered = parts.reduce((sum, part) => sum + part.bytes, 0);
	const readOnly = one.rights.includes("w") && parts.some((part) => !part.rights.includes("w"));

	if (!covered)
		return ["none", "not touched yet"];
	if (covered < one.bytes)
		return ["part", percent(covered, one.bytes) + " filled" + (readOnly ? ", partly read-only" : "")];
	return readOnly ? ["part", "filled, partly read-only"] : ["all", "as the guest's"];
}

function showTables() {
	const guest = list(entries(data.guest_tables)).map(run).filter(Boolean);
	const shadow = list(entries(data.shadow_tables)).map(run).filter(Boolean);
	const rows = [];
	let last = null;

	if (!guest.length && !shadow.length) {
		byId("table-tables").replaceWith(element("p", summary ? "Nothing is mapped." : "Not recorded.", "empty"));
		return;
	}
	for (const one of guest) {
		if (one.root !== last) {
			const cell = element("td", "page-table root " + one.root, "group code");
			cell.colSpan = 6;
			rows.push([cell]);
			last = one.root;
		}
		const spaces = [...new Set(shadow.filter((s) => s.root === one.root).map((s) => s.space))];
		/* User mode does not see the kernel's pages. */
		const seen = spaces.filter((space) => space !== "user" || one.rights.includes("u"));
		(seen.length ? seen : [""]).forEach((space, n) => {
			const parts = beneath(one, shadow.filter((s) => s.space === space));
			const [className, verdict] = compare(one, parts, space);
			rows.push([n ? "" : range(one), n ? "" : hex(one.gpa), n ? "" : size(one.bytes), n ? "" : one.rights,
				element("td", space + (space ? ": " : "") + verdict, className), lines(parts.map((part) => range(part) + "  " + part.rights))]);
		});
	}
	table("table-tables", [["guest maps", "code"], ["to", "code"], ["size", "number"], ["rights", "code"], ["shadow"],
		["the processor sees", "code"]], rows);
	const cut = [data.guest_tables, data.shadow_tables].filter((part) => part && part.of > part.entries.length);
	if (cut.length)
		byId("tables-note").textContent = "Only the first " + cut[0].entries.length + " runs are shown: " +
			many(data.guest_tables.of) + " of the guest's, " + many(data.shadow_tables.of) + " of the shadow's.";
}

/* A cell of several lines, as many as anybody reads. */
function lines(all) {
	const cell = element("td", undefined, "code"), most = 12;

	all.slice(0, most).forEach((line) => cell.append(element("div", line)));
	if (all.length > most)
		cell.append(element("div", "and " + (all.length - most) + " more"));
	return cell;
}

function showEvents() {
	const kinds = list(data.event_kinds).slice().sort((a, b) => b.count - a.count);

	table("table-events", [["kind"], ["reason"], ["events", "number"], ["cost in all", "number"], ["mean", "number"]],
		kinds.map((one) => [one.kind, one.reason, many(one.count), one.cost ? time(one.cost) : "",
			one.cost ? time(one.cost / one.count) : ""]));
}

/* -------------------------------------------------------------------------------------------------------------- */

for (const show of [showHead, showTimeline, showTime, showCosts, showPlaces, showSensitive, showHypercalls, showLatency,
	showTables, showEvents])
	show();

/* Canvases do not follow style sheets. */
function recolour() {
	charts.forEach(applyColours);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
matchMedia("print").addEventListener("change", recolour);
addEventListener("beforeprint", () => charts.forEach((chart) => chart.resize()));
addEventListener("afterprint", () => charts.forEach((chart) => chart.resize()));
document.documentElement.dataset.ready = String(charts.length);
