// The table of all trials: sorted by any column, filtered by state, by text and by ranges of accuracy and cost.
// `format` has the texts of values; `onChange` is called whenever other trials are shown.
"use strict";
function trialTable(format, onChange) {
  const byId = (id) => document.getElementById(id);
  const ranges = ["accuracy-low", "accuracy-high", "cost-low", "cost-high"];
  const sizes = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
  const rows = new Map();
  const body = document.createElement("tbody");
  const heads = document.createElement("tr");
  let data = { trials: [] };
  let columns = [];
  let sorted = { key: "trial", down: false };
  let shown = [];
  let numbers = new Set();

  // A column: its title, what it sorts by, its text, and whether it is text rather than a number.
  function columnsOf() {
    const any = (key) => data.trials.some((trial) => trial[key] !== undefined);
    const number = (title, value, text) => ({ title, value, text, isText: false });
    const text = (title, value) => ({ title, value, text: value, isText: true });
    return [
      number("trial", (trial) => trial.number, (trial) => String(trial.number)),
      text("state", (trial) => [trial.outcome, trial.front && "front", trial.anchor && "anchor"].filter(Boolean).join(", ")),
      number("accuracy", (trial) => trial.val_accuracy, format.accuracy),
      number("epochs", (trial) => trial.epochs, (trial) => String(trial.epochs ?? "")),
      number("FLOPs", (trial) => trial.flops, (trial) => format.flops(trial.flops)),
      number("parameters", (trial) => trial.params, (trial) => format.count(trial.params)),
      ...(any("latency_ms") ? [number("ms", (trial) => trial.latency_ms, (trial) => format.digits(trial.latency_ms))] : []),
      ...(any("peak_memory_mb") ? [number("MB", (trial) => trial.peak_memory_mb, (trial) => format.digits(trial.peak_memory_mb))] : []),
      number("seconds", (trial) => trial.seconds, (trial) => format.digits(trial.seconds)),
      number("depth", (trial) => trial.depth, (trial) => String(trial.depth)),
      number("channels", (trial) => trial.channels, (trial) => String(trial.channels)),
      text("stem", (trial) => format.words(trial.stem)),
      ...[0, 1, 2, 3].map((stage) => text(`stage ${stage + 1}`, (trial) => format.stage(trial.stages[stage]))),
      ...(any("reason") ? [text("reason", (trial) => trial.reason ?? "")] : []),
    ];
  }

  function drawHeads() {
    heads.replaceChildren(...columns.map((column) => {
      const head = document.createElement("th");
      head.className = column.isText ? "text" : "";
      head.ariaSort = sorted.key === column.title ? (sorted.down ? "descending" : "ascending") : "none";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.title;
      button.addEventListener("click", () => {
        sorted = { key: column.title, down: sorted.key === column.title && !sorted.down };
        drawHeads();
        show();
        [...heads.querySelectorAll("button")].find((each) => each.textContent === column.title).focus();
      });
      head.append(button);
      return head;
    }));
  }

  function rowOf(trial) {
    const source = JSON.stringify(trial) + columns.length;
    const held = rows.get(trial.number);
    if (held && held.source === source) return held;
    const row = document.createElement("tr");
    if (trial.front) row.className = "on-front";
    columns.forEach((column, index) => {
      const cell = document.createElement("td");
      if (index === 0) {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.pin = trial.number;
        button.textContent = trial.number;
        cell.append(button);
      } else {
        cell.textContent = column.text(trial);
      }
      if (column.isText) cell.className = column.title === "reason" ? "text reason" : "text";
      if (column.title === "reason") cell.title = trial.reason ?? "";
      row.append(cell);
    });
    const texts = columns.filter((column) => column.isText).map((column) => column.text(trial));
    const made = { source, row, words: `${texts.join(" ")} ${trial.id}`.toLowerCase() };
    rows.set(trial.number, made);
    return made;
  }

  // The number that a box holds, undefined where it is empty, and null where it is none.
  function bound(id) {
    const text = byId(id).value.trim();
    if (text === "") return undefined;
    const found = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*(%|[kmgt])?(flops|ms)?$/i.exec(text);
    const isAccuracy = id.startsWith("accuracy");
    const suffix = found ? (found[3] ?? "").toLowerCase() : "";
    if (!found || (isAccuracy ? suffix !== "" && suffix !== "%" : suffix === "%")) return null;
    const value = Number(found[1] + (found[2] ?? ""));
    return isAccuracy ? value / 100 : value * sizes[suffix];
  }

  function isShown(trial, state, words, [leastAccuracy, mostAccuracy, leastCost, mostCost]) {
    if (state === "front" || state === "anchor") {
      if (!trial[state]) return false;
    } else if (state && trial.outcome !== state) return false;
    const within = (value, least, most) =>
      (least == null && most == null) || (value !== undefined && value >= (least ?? -Infinity) && value <= (most ?? Infinity));
    if (!within(trial.val_accuracy, leastAccuracy, mostAccuracy)) return false;
    if (!within(trial[data.cost], leastCost, mostCost)) return false;
    return words.every((word) => rowOf(trial).words.includes(word));
  }

  function compared(one, other) {
    const column = columns.find((each) => each.title === sorted.key) ?? columns[0];
    const [first, second] = [column.value(one), column.value(other)];
    const missing = (value) => value === undefined || value === "";
    if (missing(first) || missing(second)) return missing(first) - missing(second) || one.number - other.number;
    const order = column.isText ? first.localeCompare(second, "en", { numeric: true }) : first - second;
    return (sorted.down ? -order : order) || one.number - other.number;
  }

  function show() {
    const bounds = ranges.map(bound);
    ranges.forEach((id, index) => { byId(id).ariaInvalid = String(bounds[index] === null); });
    const words = byId("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = data.trials.filter((trial) => isShown(trial, byId("state").value, words, bounds)).sort(compared);
    const place = byId("trials");
    const [top, left] = [place.scrollTop, place.scrollLeft];
    body.replaceChildren(...shown.map((trial) => rowOf(trial).row));
    place.scrollTo(left, top);
    const wrong = ranges.filter((id, index) => bounds[index] === null).map((id) => byId(id).value);
    byId("shown").textContent =
      `Shown: ${format.count(shown.length)} of ${format.count(data.trials.length)}.` +
      wrong.map((value) => ` “${value}” is not counted: expected a number, as 90 for an accuracy, 2M or 1.5G for FLOPs.`).join("");
    const now = new Set(shown.map((trial) => trial.number));
    const changed = now.size !== numbers.size || [...now].some((number) => !numbers.has(number));
    numbers = now;
    if (changed) onChange();
  }

  function drawStates() {
    const select = byId("state");
    const before = select.value;
    const many = (test) => format.count(data.trials.filter(test).length);
    const options = [
      ["", `all (${format.count(data.trials.length)})`],
      ["front", `on the front (${many((trial) => trial.front)})`],
      ["anchor", `anchors (${many((trial) => trial.anchor)})`],
      ...Object.entries(data.outcomes).map(([outcome, number]) => [outcome, `${outcome} (${format.count(number)})`]),
    ];
    select.replaceChildren(...options.map(([value, title]) => new Option(title, value)));
    // What a reader had chosen stays chosen; a state that no trial is in any more shows all.
    select.value = options.some(([value]) => value === before) ? before : "";
  }

  // Shows other data; what the reader has sorted by, filtered by and scrolled to stays.
  function update(fresh) {
    data = fresh;
    columns = columnsOf();
    drawHeads();
    drawStates();
    show();
  }

  const table = document.createElement("table");
  table.createTHead().append(heads);
  table.append(body);
  byId("trials").append(table);
  let waiting;
  byId("state").addEventListener("change", show);
  for (const id of ["text", ...ranges]) {
    byId(id).addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 120);
    });
  }
  byId("clear").addEventListener("click", () => {
    for (const id of ["state", "text", ...ranges]) byId(id).value = "";
    show();
  });
  return { update, shows: (number) => numbers.has(number) };
}
