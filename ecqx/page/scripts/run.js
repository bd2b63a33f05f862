"use strict";
// The chosen run: its numbers, and its attributions beside those of full precision.

const Run = (() => {
  const place = document.getElementById("run");
  let explainer = null; // stays from run to run

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text ?? "";
    return made;
  }

  function facts(i) {
    const of = (name) => Data.column(name)[i];
    const known = [
      ["Task", Data.tasks[Data.taskOf[i]].label],
      ["Method", Data.methodLabel(of("method"))],
      ["Operating point", Data.pointLabel(i)],
      ["Seed", String(of("seed"))],
      ["Status", of("status")],
    ];
    if (Data.reason(i)) {
      known.push(["Reason", Data.reason(i)]);
    }
    if (Data.ok[i]) {
      known.push(
        ["Accuracy", `${(of("accuracy") * 100).toFixed(2)} %`],
        ["Full precision", `${(of("accuracy_fp32") * 100).toFixed(2)} %`],
        ["Size", `${Data.text(of("size_bytes") / 1000)} kB`],
        ["Compression ratio", Data.text(of("compression_ratio"))],
        ["Sparsity", `${(of("sparsity") * 100).toFixed(1)} %`],
      );
    }
    const list = element("dl", "facts");
    for (const [term, value] of known) {
      const pair = document.createElement("div");
      const what = element("dd", term === "Status" && !Data.ok[i] ? "warning" : "", value);
      pair.append(element("dt", "", term), what);
      list.append(pair);
    }
    return list;
  }

  /** Every metric of every explainer of this run, null if there is none. */
  function scores(i, subset, signed) {
    const rows = Data.explainers
      .map((entry) => [
        entry,
        Data.metrics.map((metric) => Data.attribution(entry.name, metric.name, subset, signed)[i]),
      ])
      .filter(([, values]) => values.some(Number.isFinite));
    if (!rows.length) {
      return null;
    }
    const used = Data.metrics.map((_, at) => rows.some(([, values]) => Number.isFinite(values[at])));
    const kept = (list) => list.filter((_, at) => used[at]);
    const name = "Attributions of the chosen run in numbers";
    const table = document.createElement("table");
    table.setAttribute("aria-label", name);
    const head = table.createTHead().insertRow();
    for (const label of ["Explainer", ...kept(Data.metrics).map((metric) => metric.label)]) {
      const cell = element("th", label === "Explainer" ? "" : "number", label);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [entry, values] of rows) {
      const row = body.insertRow();
      const first = element("th", "", entry.label);
      first.scope = "row";
      row.append(first, ...kept(values).map((value) => element("td", "number", Data.text(value))));
    }
    const wrap = element("div", "scroll");
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", name);
    wrap.append(table);
    return wrap;
  }

  // ---- maps ----

  const UNDEFINED = -128;

  /** Draw cells of color; `color(position)` gives [red, green, blue]; a mask gets an outline. */
  function draw(canvas, gallery, color, mask, outline) {
    const { height, width } = gallery;
    const scale = Math.max(2, Math.round(192 / Math.max(height, width)));
    canvas.width = width * scale;
    canvas.height = height * scale;
    // Spectrograms are far from square: their cells are stretched to stay readable.
    canvas.style.aspectRatio = String(1 / Math.min(Math.max(height / width, 0.6), 1.6));
    const context = canvas.getContext("2d");
    for (let at = 0; at < height * width; at++) {
      const [red, green, blue] = color(at);
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      context.fillRect((at % width) * scale, Math.floor(at / width) * scale, scale, scale);
    }
    if (!mask || mask.every((inside) => inside) || !mask.some((inside) => inside)) {
      return;
    }
    context.fillStyle = outline;
    const thick = Math.max(1, Math.round(scale / 4));
    for (let at = 0; at < height * width; at++) {
      const [left, top] = [(at % width) * scale, Math.floor(at / width) * scale];
      if (at % width && mask[at] !== mask[at - 1]) {
        context.fillRect(left - thick / 2, top, thick, scale);
      }
      if (at >= width && mask[at] !== mask[at - width]) {
        context.fillRect(left, top - thick / 2, scale, thick);
      }
    }
  }

  const mapColor = (values, start) => (at) => {
    const value = values[start + at];
    if (value === UNDEFINED) {
      return [128, 128, 128];
    }
    const entry = 3 * (value + 127);
    return Data.colormap.subarray(entry, entry + 3);
  };

  const imageColor = (values, start, channels) => (at) => {
    const first = (start + at) * channels;
    return channels === 3 ? values.subarray(first, first + 3) : Array(3).fill(values[first]);
  };

  const signedBytes = (base64) => new Int8Array(Data.decoded(base64).buffer);

  function sample(gallery, number, reference, own) {
    const area = gallery.height * gallery.width;
    const start = number * area;
    const mask = gallery.masks ? Data.decoded(gallery.masks).slice(start, start + area) : null;
    const item = document.createElement("li");
    item.append(element("h3", "", gallery.classes[number]));
    const list = document.createElement("ul");
    const columns = [
      ["Input", imageColor(Data.decoded(gallery.images), start, gallery.channels), "#e69f00"],
      ["Full precision", mapColor(reference, start), "#333333"],
      ["This run", mapColor(own, start), "#333333"],
    ];
    for (const [caption, color, outline] of columns) {
      const cell = document.createElement("li");
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute(
        "aria-label",
        `${caption}, sample ${number + 1}, class ${gallery.classes[number]}`,
      );
      draw(canvas, gallery, color, mask, outline);
      cell.append(canvas, element("span", "quiet", caption));
      list.append(cell);
    }
    item.append(list);
    return item;
  }

  function ramp() {
    const line = element("div", "ramp");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    [canvas.width, canvas.height] = [255, 1];
    const context = canvas.getContext("2d");
    for (let at = 0; at < 255; at++) {
      context.fillStyle = `rgb(${Data.colormap.subarray(3 * at, 3 * at + 3).join(" ")})`;
      context.fillRect(at, 0, 1, 1);
    }
    line.append("against the class", canvas, "for the class");
    return line;
  }

  /** The run of the gallery's seed at the same operating point, or undefined. */
  function counterpart(i, gallery) {
    const same = ["dataset", "model", "method", "point"];
    return Object.keys(gallery.runs)
      .map(Number)
      .find((j) => same.every((name) => Data.column(name)[j] === Data.column(name)[i]));
  }

  function maps(i) {
    const task = Data.tasks[Data.taskOf[i]];
    const gallery = Data.maps.find(
      (entry) => entry.dataset === task.dataset && entry.model === task.model,
    );
    const shown = gallery && counterpart(i, gallery);
    if (shown === undefined) {
      const why = gallery
        ? `There are no maps for this operating point with seed ${gallery.seed}.`
        : "This file holds no attribution maps for this task.";
      return [element("p", "quiet", why)];
    }
    const own = gallery.runs[shown];
    const names = Object.keys(gallery.reference).filter((name) => name in own);
    if (!names.length) {
      return [element("p", "quiet", "This run has no attribution maps.")];
    }
    const select = document.createElement("select");
    select.id = "explainer";
    for (const name of names) {
      select.add(new Option(gallery.labels[name], name));
    }
    select.value = names.includes(explainer) ? explainer : names[0];
    const label = element("label", "", "Explainer ");
    label.append(select);
    const controls = element("div", "map-controls");
    controls.append(label, ramp());
    const list = element("ol", "samples");
    const fill = () => {
      const reference = signedBytes(gallery.reference[select.value]);
      const values = signedBytes(own[select.value]);
      list.replaceChildren(
        ...Array.from({ length: gallery.samples }, (_, n) => sample(gallery, n, reference, values)),
      );
    };
    select.addEventListener("change", () => {
      explainer = select.value;
      fill();
    });
    fill();
    const other = shown === i ? "" : `Maps are kept for seed ${gallery.seed} only; these are shown. `;
    const cut =
      gallery.samples < gallery.samples_available || names.length < gallery.explainers_available
        ? `Of ${gallery.samples_available} samples and ${gallery.explainers_available} explainers ` +
          `${gallery.samples} and ${Object.keys(gallery.reference).length} are in this file, to ` +
          `keep maps below ${Data.mapsBudget / 1e6} MB. `
        : "";
    const outline = gallery.masks ? " Outline: ground-truth mask." : "";
    const reading =
      "Each map is divided by its own largest magnitude: shapes can be compared, magnitudes cannot.";
    return [controls, list, element("p", "quiet", `${other}${cut}${reading}${outline}`)];
  }

  /** Show a run; `subset` and `signed` say which attributions its numbers are of. */
  function show(i, subset, signed) {
    const parts = [facts(i)];
    if (Data.ok[i]) {
      const table = scores(i, subset, signed);
      parts.push(table ?? element("p", "quiet", "No attributions of this run."), ...maps(i));
    } else {
      parts.push(element("p", "", "This run gave no result, so it has no point on the plots."));
    }
    place.replaceChildren(...parts);
  }

  return { show };
})();
