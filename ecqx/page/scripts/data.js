"use strict";
// The results that this file holds: runs, and what can be put on an axis.

const Data = (() => {
  const raw = JSON.parse(document.getElementById("data").textContent);

  function bytes(base64) {
    const text = atob(base64);
    const result = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      result[i] = text.charCodeAt(i);
    }
    return result;
  }

  /** A value per run: a number (NaN: undefined), or text (null: undefined). */
  function decoded(column) {
    if (column.f64 !== undefined) {
      return new Float64Array(bytes(column.f64).buffer);
    }
    return column.codes.map((code) => (code < 0 ? null : column.levels[code]));
  }

  const names = Object.keys(raw.columns);
  const columns = new Map(names.map((name) => [name, decoded(raw.columns[name])]));
  for (const [name, column] of Object.entries(raw.derived)) {
    columns.set(name, decoded(column));
  }
  const column = (name) => columns.get(name);

  const taskNumbers = new Map(
    raw.tasks.map((task, number) => [JSON.stringify([task.dataset, task.model]), number]),
  );
  const tasks = Array.from({ length: raw.count }, (_, i) =>
    taskNumbers.get(JSON.stringify([column("dataset")[i], column("model")[i]])),
  );
  const ok = column("status").map((status) => status === "ok");

  /** Why a run has no result; null where the table does not say. */
  const reason = (i) => column("reason")?.[i] || null;

  const seriesKey = (explainer, metric, subset, signed) =>
    JSON.stringify([explainer, metric, subset, signed]);
  const series = new Map(
    raw.series.map((part) => [
      seriesKey(part.explainer, part.metric, part.subset, part.signed),
      part,
    ]),
  );
  const decodedSeries = new Map();

  /** A value per run of one explainer and metric, NaN where undefined. */
  function attribution(explainer, metric, subset, signed) {
    const key = seriesKey(explainer, metric, subset, signed);
    if (!decodedSeries.has(key)) {
      const values = new Float64Array(raw.count).fill(NaN);
      const part = series.get(key);
      if (part) {
        values.set(new Float32Array(bytes(part.f32).buffer), part.offset);
      }
      decodedSeries.set(key, values);
    }
    return decodedSeries.get(key);
  }

  const labelOf = (list, name) => list.find((entry) => entry.name === name).label;

  /** What can be chosen for an axis, in groups: [heading or null, [[key, label], ...]]. */
  function choices() {
    const groups = [[null, raw.axes.map((axis) => [axis.column, axis.label])]];
    for (const explainer of raw.explainers) {
      const own = new Set(
        raw.series.filter((part) => part.explainer === explainer.name).map((part) => part.metric),
      );
      groups.push([
        explainer.label,
        raw.metrics
          .filter((metric) => own.has(metric.name))
          .map((metric) => [
            JSON.stringify([explainer.name, metric.name]),
            `${metric.label}, ${explainer.label}`,
          ]),
      ]);
    }
    return groups;
  }

  /**
   * An axis by its key: label, log, better (+1: more is), column, values per run in shown units (NaN
   * unless the run is ok), choosing (the values per run that fronts are chosen by), and
   * references(task, seeds): [{label, value}] lines to read it by.
   */
  function axis(key, subset, signed) {
    const known = raw.axes.find((entry) => entry.column === key);
    if (known) {
      const shown = (name) => ok.map((fine, i) => (fine ? column(name)[i] * known.factor : NaN));
      const values = shown(key);
      return {
        ...known,
        key,
        values,
        choosing: known.chosen_by === key ? values : shown(known.chosen_by),
        references: (task, seeds) =>
          key === "accuracy" ? fullPrecision(task, seeds, known.factor) : [],
      };
    }
    const [explainer, metric] = JSON.parse(key);
    const { label, better } = raw.metrics.find((entry) => entry.name === metric);
    const all = attribution(explainer, metric, subset, signed);
    const values = ok.map((fine, i) => (fine ? all[i] : NaN));
    const part = series.get(seriesKey(explainer, metric, subset, signed));
    return {
      key,
      label: `${label}, ${labelOf(raw.explainers, explainer)}`,
      log: false,
      better,
      column: [metric, explainer, subset, signed ? "signed" : "absolute"].join("/"),
      values,
      choosing: values,
      references: (task, seeds) =>
        raw.anchors
          .map((anchor, number) => ({
            label: anchor.label,
            value: Statistics.interval(
              (part ? part.anchors : [])
                .filter((row) => row[0] === number && row[1] === task && seeds.has(String(row[2])))
                .map((row) => row[3]),
              raw.t,
            ).mean,
          }))
          .filter((line) => Number.isFinite(line.value)),
    };
  }

  /** Accuracy and size of the full-precision network: a value per selected seed. */
  function fullPrecisionOf(task, seeds, name) {
    const bySeed = new Map();
    for (let i = 0; i < raw.count; i++) {
      const seed = String(column("seed")[i]);
      const value = column(name)[i];
      if (tasks[i] === task && seeds.has(seed) && Number.isFinite(value) && !bySeed.has(seed)) {
        bySeed.set(seed, value);
      }
    }
    return Statistics.interval([...bySeed.values()], raw.t);
  }

  function fullPrecision(task, seeds, factor) {
    const { mean } = fullPrecisionOf(task, seeds, "accuracy_fp32");
    return Number.isFinite(mean) ? [{ label: "full precision", value: mean * factor }] : [];
  }

  const pad = (digits, value) => value.toFixed(Math.max(0, digits));

  /** A number with as many digits as tell runs apart. */
  function text(value) {
    if (value === null || value === undefined || Number.isNaN(value)) {
      return "–";
    }
    if (typeof value !== "number" || !Number.isFinite(value)) {
      return String(value);
    }
    const magnitude = Math.abs(value);
    if (magnitude >= 1000) {
      return pad(0, value);
    }
    return magnitude >= 100 ? pad(1, value) : magnitude >= 1 ? pad(2, value) : pad(3, value);
  }

  /** What an operating point is called for readers; `point` is its name in tables and folders. */
  const pointLabel = (i) => column("point_label")[i];

  const methodLabels = new Map(raw.methods.map((method) => [method.name, method.label]));

  return {
    count: raw.count,
    t: raw.t,
    names,
    column,
    decoded: bytes,
    tasks: raw.tasks,
    taskOf: tasks,
    methods: raw.methods,
    pointLabel,
    about: raw.about,
    methodLabel: (name) => methodLabels.get(name),
    explainers: raw.explainers,
    metrics: raw.metrics,
    maps: raw.maps,
    mapsBudget: raw.maps_budget,
    colormap: bytes(raw.colormap),
    ok,
    statuses: ["diverged", "failed", "skipped"], // of runs without a result
    reason,
    subsets: new Set(raw.series.map((part) => part.subset)),
    attribution,
    choices,
    axis,
    fullPrecisionOf,
    text,
  };
})();
