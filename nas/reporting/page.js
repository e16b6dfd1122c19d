// Draws the figures of a report and answers its controls. Uses nothing but Plotly and the data on the page.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const trials = new Map(data.trials.map((trial) => [trial.number, trial]));
  const byId = (id) => document.getElementById(id);
  // Only the buttons that work in a sandboxed frame: no downloads, no links, nothing that sends the data away.
  const buttons = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, modeBarButtons: buttons };
  const quietConfig = { ...config, displayModeBar: false };
  const figure = data.figures.front;
  const openingRange = figure.layout.yaxis.range;
  const pinned = [];

  const percent = (share) => `${(100 * share).toFixed(2)}%`;
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

  function facts(trial) {
    const result = [trial.val_accuracy === undefined ? "not trained" : `accuracy ${percent(trial.val_accuracy)}`];
    result.push(readableFlops(trial.flops), `${count(trial.params)} parameters`);
    if (trial.latency_ms !== undefined) result.push(`${Number(trial.latency_ms.toPrecision(3))} ms`);
    if (trial.peak_memory_mb !== undefined) result.push(`${Number(trial.peak_memory_mb.toPrecision(3))} MB`);
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

  const hoverTexts = new Map(data.trials.map((trial) => [trial.number, hoverText(trial)]));

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

  function drawnFront() {
    const axis = byId("x-axis").value;
    const log = byId("log-axis").checked;
    const traces = figure.data.map((trace) => {
      const role = trace.meta.role;
      const shown = (role === "pinned" ? pinned : trace.customdata).map((number) => trials.get(number));
      const place = (trial) => (role === "untrained" ? trace.meta.row : trial.val_accuracy);
      return {
        ...trace,
        customdata: shown.map((trial) => trial.number),
        x: shown.map((trial) => trial[axis] ?? null),
        y: shown.map((trial) => place(trial) ?? null),
        text: trace.hoverinfo === "text" ? shown.map((trial) => hoverTexts.get(trial.number)) : undefined,
        visible: role === "line" && axis !== data.cost ? false : trace.visible,
      };
    });
    const range = rangeWithMarks(axis, log);
    const layout = {
      ...figure.layout,
      ...marks(axis, log),
      uirevision: `${axis} ${log} ${byId("all-accuracies").checked} ${byId("reference-models").checked}`,
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

  function pin(number) {
    const place = pinned.indexOf(number);
    if (place >= 0) pinned.splice(place, 1);
    else pinned.push(number);
    byId("pins").replaceChildren(...pinned.map((each) => card(trials.get(each))));
    byId("pin-hint").textContent = pinned.length ? `Pinned: ${pinned.length}. A second click unpins.` : "Nothing is pinned.";
    redraw();
  }

  Plotly.newPlot("front", ...drawnFront(), config);
  byId("front").on("plotly_click", (event) => pin(event.points[0].customdata));
  for (const id of ["x-axis", "log-axis", "all-accuracies", "reference-models"]) byId(id).addEventListener("change", redraw);
  for (const button of document.querySelectorAll("[data-pin]")) button.addEventListener("click", () => pin(Number(button.dataset.pin)));

  // The other figures are drawn when they come near the part of the page that is seen, or are to be printed.
  function draw(place) {
    near.unobserve(place);
    const { data: traces, layout } = data.figures[place.id];
    Plotly.newPlot(place, traces, layout, quietConfig);
  }
  const waiting = () => [...document.querySelectorAll(".figure:not(.js-plotly-plot)")];
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "300px" },
  );
  for (const place of waiting()) {
    place.style.minHeight = `${data.figures[place.id].layout.height}px`;
    near.observe(place);
  }
  window.addEventListener("beforeprint", () => waiting().forEach(draw));
  document.documentElement.dataset.drawn = "true";
})();
