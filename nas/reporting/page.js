// Draws the figures of a report and answers its controls. Uses nothing but Plotly, table.js and the data on the page.
"use strict";
(() => {
  let data;
  let trials;
  let hoverTexts;
  let opened = {};
  const byId = (id) => document.getElementById(id);
  // Only the buttons that work in a sandboxed frame: no downloads, no links, nothing that sends the data away.
  const buttons = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, modeBarButtons: buttons };
  const quietConfig = { ...config, displayModeBar: false };
  const pinned = [];

  const percent = (share) => `${(100 * share).toFixed(2)}%`;
  const digits = (number) => (number === undefined ? "" : String(Number(number.toPrecision(3))));
  const count = (number) => number.toLocaleString("en");
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const words = (name) => name.replace(/_/g, " ");

  function readableFlops(flops) {
    const [unit, size] = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]].find(([, least]) => flops >= least) || ["", 1];
    return `${Number((flops / size).toPrecision(3))} ${unit}FLOPs`;
  }

  // Blocks that follow each other and are alike, as [operator, how many].
  function runs(stage) {
    const found = [];
    for (const index of stage) {
      const last = found[found.length - 1];
      if (last && last[0] === data.operators[index]) last[1] += 1;
      else found.push([data.operators[index], 1]);
    }
    return found;
  }

  function operatorText(operator) {
    if (operator.operator === "convolution") return "convolution";
    const { spatial_extent: extent, heads, positional_encoding: encoding } = operator;
    return `attention, extent ${extent}, ${heads} head${heads > 1 ? "s" : ""}, positions ${words(encoding)}`;
  }

  // What blocks are, in short: one for all where they are alike.
  function stageText(stage) {
    const labels = stage.map((index) => data.operators[index].label);
    return new Set(labels).size === 1 ? labels[0] : labels.join(" ");
  }

  function accuracyText(trial) {
    if (trial.val_accuracy === undefined) return "";
    if (!trial.trainings) return percent(trial.val_accuracy);
    const [least, most, number] = trial.trainings;
    return `${percent(trial.val_accuracy)} (${percent(least)}–${percent(most)} in ${number})`;
  }

  function facts(trial) {
    const result = [trial.val_accuracy === undefined ? "not trained" : `accuracy ${accuracyText(trial)}`];
    result.push(readableFlops(trial.flops), `${count(trial.params)} parameters`);
    if (trial.latency_ms !== undefined) result.push(`${digits(trial.latency_ms)} ms`);
    if (trial.peak_memory_mb !== undefined) result.push(`${digits(trial.peak_memory_mb)} MB`);
    return result;
  }

  function standing(trial) {
    const standings = [trial.outcome];
    if (trial.front) standings.push("on the front");
    if (trial.anchor) standings.push("anchor");
    if (trial.epochs) standings.push(`${trial.epochs} of ${data.fullEpochs} epochs`);
    if (trial.duplicate_of !== undefined) standings.push(`same as trial ${trial.duplicate_of}`);
    return standings.join(", ");
  }

  function hoverText(trial) {
    const lines = [`<b>trial ${trial.number}</b>, ${standing(trial)}`, facts(trial).join(", ")];
    lines.push(`depth ${trial.depth}, ${trial.channels} channels, ${words(trial.stem)} stem`);
    trial.stages.forEach((stage, index) => {
      const parts = runs(stage).map(([operator, blocks]) => `${operatorText(operator)} ×${blocks}`);
      lines.push(`stage ${index + 1}: ${parts.length > 3 ? `${parts.slice(0, 3).join("; ")}; …` : parts.join("; ")}`);
    });
    if (trial.reason) lines.push(escaped(trial.reason.slice(0, 90)));
    return lines.join("<br>");
  }

  // Vertical marks for the cost of the paper's models. Shapes take values on a log axis, annotations their logarithm.
  function marks(axis, log) {
    if (!byId("reference-models").checked || !(axis in data.references[0])) return { shapes: [], annotations: [] };
    return {
      shapes: data.references.map((model) => ({
        type: "line", x0: model[axis], x1: model[axis], y0: 0, y1: 1, yref: "y domain",
        line: { color: "#59636e", width: 1, dash: "dot" },
      })),
      // Some cost nearly the same: their names stand at three heights, in turn.
      annotations: data.references.toSorted((one, other) => one[axis] - other[axis]).map((model, index) => ({
        x: log ? Math.log10(model[axis]) : model[axis], y: 1 - (index % 3) / 2, yref: "y domain",
        yanchor: ["top", "middle", "bottom"][index % 3], xanchor: "right",
        text: model.name, textangle: -90, showarrow: false, font: { size: 10, color: "#59636e" },
      })),
    };
  }

  // Log axes do not count marks that are no trace: their range is made to hold trials and models both.
  function rangeWithMarks(axis, log) {
    if (!byId("reference-models").checked || !(axis in data.references[0])) return undefined;
    const values = [...data.trials, ...data.references].map((item) => item[axis]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return log ? [Math.log10(low) - 0.05, Math.log10(high) + 0.05] : [low - 0.03 * (high - low), high + 0.03 * (high - low)];
  }

  // Bars from the least to the most accurate training, where any of the trials was trained several times.
  function bars(shown) {
    if (!shown.some((trial) => trial.trainings)) return undefined;
    const distance = (index) => shown.map((trial) => (trial.trainings ? Math.abs(trial.trainings[index] - trial.val_accuracy) : 0));
    return { type: "data", symmetric: false, array: distance(1), arrayminus: distance(0), thickness: 1, width: 3 };
  }

  function drawnFront() {
    const axis = byId("x-axis").value;
    const log = byId("log-axis").checked;
    const figure = data.figures.front;
    const revision = `${axis} ${log} ${byId("all-accuracies").checked} ${byId("reference-models").checked}`;
    // Plotly keeps what a reader has zoomed to only where the range that it began with stays the same.
    if (!opened.zoomed || opened.revision !== revision) {
      opened = { revision, zoomed: false, x: rangeWithMarks(axis, log), y: figure.layout.yaxis.range };
    }
    const { x: range, y: openingRange } = opened;
    const traces = figure.data.map((trace) => {
      const role = trace.meta.role;
      const shown = (role === "pinned" ? pinned : trace.customdata).map((number) => trials.get(number));
      const place = (trial) => (role === "untrained" ? trace.meta.row : trial.val_accuracy);
      return {
        ...trace,
        customdata: shown.map((trial) => trial.number),
        x: shown.map((trial) => trial[axis] ?? null),
        y: shown.map((trial) => place(trial) ?? null),
        error_y: role === "trials" ? bars(shown) : undefined,
        text: trace.hoverinfo === "text" ? shown.map((trial) => hoverTexts.get(trial.number)) : undefined,
        visible: role === "line" && axis !== data.cost ? false : trace.visible,
      };
    });
    const layout = {
      ...figure.layout,
      ...marks(axis, log),
      uirevision: revision,
      xaxis: { ...figure.layout.xaxis, type: log ? "log" : "linear", title: { text: data.axes[axis] }, autorange: !range, range },
      yaxis: byId("all-accuracies").checked || !openingRange
        ? { ...figure.layout.yaxis, autorange: true, range: undefined }
        : { ...figure.layout.yaxis, range: [...openingRange] },
    };
    return [traces, layout];
  }

  const redraw = () => Plotly.react("front", ...drawnFront(), config);

  function element(name, text, parent, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    if (parent) parent.append(made);
    return made;
  }

  function row(parent, cells, cell) {
    const made = element("tr", undefined, parent);
    cells.forEach((text) => element(cell, text, made, "text"));
  }

  function card(trial) {
    const made = element("article", undefined, null, "card");
    made.dataset.trial = trial.number;
    const header = element("header", undefined, made);
    element("h3", `trial ${trial.number}`, header);
    const close = element("button", "unpin", header);
    close.type = "button";
    close.addEventListener("click", () => pin(trial.number));
    element("p", standing(trial), made);
    element("p", facts(trial).join(" · "), made);
    element("p", `depth ${trial.depth} · ${trial.channels} channels · ${words(trial.stem)} stem · seed ${trial.seed} · ${trial.id}`, made);
    if (trial.reason) element("p", trial.reason, made, "quiet");
    const table = element("table", undefined, made);
    row(element("thead", undefined, table), ["stage", "blocks", "channels", "operator", "extent", "heads", "positions"], "th");
    const body = element("tbody", undefined, table);
    trial.stages.forEach((stage, index) => {
      for (const [operator, blocks] of runs(stage)) {
        const attention = operator.operator === "attention";
        row(body, [
          index + 1, blocks, trial.channels * 2 ** index, operator.operator, attention ? operator.spatial_extent : "",
          attention ? operator.heads : "", attention ? words(operator.positional_encoding) : "",
        ], "td");
      }
    });
    return made;
  }

  function drawPins() {
    byId("pins").replaceChildren(...pinned.map((each) => card(trials.get(each))));
    byId("pin-hint").textContent = pinned.length ? `Pinned: ${pinned.length}. A second click unpins.` : "Nothing is pinned.";
  }

  function pin(number) {
    const place = pinned.indexOf(number);
    if (place >= 0) pinned.splice(place, 1);
    else pinned.push(number);
    drawPins();
    redraw();
  }

  // A trace that names trials alone: the curve of each, or its line over the parallel axes, with a gap after it.
  function filled(trace) {
    const role = trace.meta?.role;
    if (role !== "curves" && role !== "parallel") return trace;
    const [x, y, customdata, text] = [[], [], [], []];
    for (const number of trace.customdata) {
      if (!table.shows(number)) continue;
      const values = role === "curves" ? trials.get(number).curve.map((value) => value / 1e4) : data.places[number];
      values.forEach((value, index) => {
        x.push(role === "curves" ? index + 1 : index);
        y.push(value);
        customdata.push(number);
        if (role === "parallel") text.push(hoverTexts.get(number));
      });
      for (const list of [x, y, customdata, text]) list.push(null);
    }
    return { ...trace, x, y, customdata, text: role === "parallel" ? text : undefined };
  }

  // The other figures are drawn when they come near the part of the page that is seen, or are to be printed.
  function draw(place) {
    near.unobserve(place);
    const { data: traces, layout } = data.figures[place.id];
    Plotly.react(place, traces.map(filled), { ...layout, uirevision: "kept" }, quietConfig);
  }
  const isDrawn = (place) => place.classList.contains("js-plotly-plot");
  const others = () => [...document.querySelectorAll(".figure:not(#front)")];
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "300px" },
  );
  const drawFiltered = () => ["parallel", "curves"].map(byId).filter((place) => place && isDrawn(place)).forEach(draw);
  const table = trialTable(
    { accuracy: accuracyText, flops: readableFlops, count, digits, words, stage: stageText },
    () => drawFiltered(),
  );

  // Shows data, which may be newer than those shown: what is zoomed, pinned, sorted and filtered stays so.
  function show(fresh) {
    data = fresh;
    trials = new Map(data.trials.map((trial) => [trial.number, trial]));
    hoverTexts = new Map(data.trials.map((trial) => [trial.number, hoverText(trial)]));
    table.update(data);
    drawPins();
    redraw();
    for (const place of others()) {
      if (isDrawn(place)) draw(place);
      else {
        place.style.minHeight = `${data.figures[place.id].layout.height}px`;
        near.observe(place);
      }
    }
  }

  show(JSON.parse(byId("data").textContent));
  byId("front").on("plotly_relayout", (change) => {
    if (Object.keys(change).some((key) => key.includes("range"))) opened.zoomed = true;
  });
  byId("front").on("plotly_click", (event) => pin(event.points[0].customdata));
  for (const id of ["x-axis", "log-axis", "all-accuracies", "reference-models"]) byId(id).addEventListener("change", redraw);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pin]");
    if (button) pin(Number(button.dataset.pin));
  });
  document.addEventListener("fresh-report", (event) => show(event.detail));
  window.addEventListener("beforeprint", () => others().filter((place) => !isDrawn(place)).forEach(draw));
  document.documentElement.dataset.drawn = "true";
})();
