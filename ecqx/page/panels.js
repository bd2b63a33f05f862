"use strict";
// A plot per task: means and single runs of each method, their fronts, zoom, hover, keyboard.

const Panels = (() => {
  const panels = new Map(); // task -> panel
  const coarse = window.matchMedia("(pointer: coarse)");
  const token = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const statuses = ["diverged", "skipped"];
  let handlers = {};

  // ---- colours ----

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function luminance(rgb) {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  }

  /** A method's color; on a dark page mixed with white until it stands out 3.5 to 1. */
  function shownColor(hex) {
    const paper = channels(token("paper"));
    let rgb = channels(hex);
    if (luminance(paper) > 0.2) {
      return hex;
    }
    for (let step = 0; step < 20 && contrast(rgb, paper) < 3.5; step++) {
      rgb = rgb.map((value) => value + (255 - value) * 0.1);
    }
    return `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
  }

  // ---- points ----

  /** Operating points of one task: the selected runs of a method and point, and their means. */
  function pointsOf(runs, x, y) {
    const groups = new Map();
    for (const i of runs) {
      const key = JSON.stringify([Data.column("method")[i], Data.column("point")[i]]);
      groups.has(key) ? groups.get(key).push(i) : groups.set(key, [i]);
    }
    const points = [...groups.values()].map((own) => {
      const means = [x, y].map((axis) =>
        Statistics.interval(own.map((i) => axis.values[i]), Data.t),
      );
      return {
        runs: own,
        method: Data.column("method")[own[0]],
        point: Data.column("point")[own[0]],
        x: means[0],
        y: means[1],
        complete: means.every(({ n }) => n === own.length),
      };
    });
    const shown = points.filter(
      (point) => Number.isFinite(point.x.mean) && Number.isFinite(point.y.mean),
    );
    const mark = (some, name) => {
      const on = Statistics.front(
        some.map((point) => (point.complete ? y.better * point.y.mean : NaN)),
        some.map((point) => -x.better * point.x.mean),
      );
      some.forEach((point, i) => (point[name] = on[i]));
    };
    mark(shown, "overall");
    for (const method of Data.methods) {
      mark(shown.filter((point) => point.method === method.name), "own");
    }
    return shown.sort((a, b) => a.x.mean - b.x.mean || a.y.mean - b.y.mean);
  }

  const escape = (text) =>
    String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function spread({ mean, halfWidth }) {
    const width = Number.isFinite(halfWidth) ? ` ± ${Data.text(halfWidth)}` : "";
    return Data.text(mean) + width;
  }

  function describePoint(point, x, y) {
    const n = point.runs.filter((i) => Data.ok[i]).length;
    const lacking = n < point.runs.length ? ` of ${point.runs.length} runs` : "";
    const seeds = `mean of ${n} seed${n === 1 ? "" : "s"}${lacking}`;
    return [
      `${Data.methodLabel(point.method)}, ${point.point}`,
      seeds,
      `${y.label}: ${spread(point.y)}`,
      `${x.label}: ${spread(point.x)}`,
    ];
  }

  function describeRun(i, x, y) {
    return [
      `${Data.methodLabel(Data.column("method")[i])}, ${Data.column("point")[i]}`,
      `single run, seed ${Data.column("seed")[i]}`,
      `${y.label}: ${Data.text(y.values[i])}`,
      `${x.label}: ${Data.text(x.values[i])}`,
    ];
  }

  const hover = (lines) => lines.map(escape).join("<br>");

  // ---- drawing ----

  /** Where the ring around the chosen run is; nowhere if it is not on the panel. */
  function ringOf(panel, chosen) {
    const at = panel.runs.filter((i) => i === chosen);
    return { x: at.map((i) => panel.view.x.values[i]), y: at.map((i) => panel.view.y.values[i]) };
  }

  function traces(panel, view) {
    const { x, y } = view;
    const result = [];
    const paper = token("paper");
    const ink = token("ink");
    panel.curves = new Map(); // curve -> what its points are
    const add = (trace, content) => {
      panel.curves.set(result.length, content);
      result.push(trace);
    };
    const looks = Data.methods.map((method) => ({ ...method, shown: shownColor(method.color) }));
    const shared = { type: "scatter", hovertemplate: "%{text}<extra></extra>" };
    if (view.singles) {
      for (const look of looks) {
        const own = panel.runs.filter(
          (i) =>
            Data.column("method")[i] === look.name &&
            Number.isFinite(x.values[i]) &&
            Number.isFinite(y.values[i]),
        );
        add(
          {
            ...shared,
            mode: "markers",
            x: own.map((i) => x.values[i]),
            y: own.map((i) => y.values[i]),
            text: own.map((i) => hover(describeRun(i, x, y))),
            marker: { color: look.shown, symbol: look.symbol, size: 5, opacity: 0.4 },
          },
          own.map((i) => ({ run: i })),
        );
      }
    }
    for (const look of looks) {
      const front = panel.points.filter((point) => point.method === look.name && point.own);
      add(
        {
          type: "scatter",
          mode: "lines",
          x: front.map((point) => point.x.mean),
          y: front.map((point) => point.y.mean),
          line: { color: look.shown, width: 1.5, dash: look.dash },
          hoverinfo: "skip",
        },
        [],
      );
    }
    for (const look of looks) {
      const own = panel.points.filter((point) => point.method === look.name);
      const bar = (axis) => ({
        type: "data",
        array: own.map((point) => point[axis].halfWidth),
        color: look.shown,
        thickness: 1,
        width: 2,
        visible: view.intervals,
      });
      add(
        {
          ...shared,
          mode: "markers",
          name: look.label,
          x: own.map((point) => point.x.mean),
          y: own.map((point) => point.y.mean),
          text: own.map((point) => hover(describePoint(point, x, y))),
          error_x: bar("x"),
          error_y: bar("y"),
          marker: {
            symbol: look.symbol,
            size: 9,
            color: own.map((point) => (point.own ? look.shown : paper)),
            line: {
              color: own.map((point) => (point.overall ? ink : look.shown)),
              width: 1.5,
            },
          },
        },
        own.map((point) => ({ run: point.runs[0], point })),
      );
    }
    const ring = ringOf(panel, view.chosen);
    panel.ring = result.length;
    add(
      {
        type: "scatter",
        mode: "markers",
        x: ring.x,
        y: ring.y,
        marker: { symbol: "circle-open", size: 18, color: token("accent"), line: { width: 3 } },
        hoverinfo: "skip",
      },
      [],
    );
    return result;
  }

  /** A value as annotations place it: its logarithm on a logarithmic axis. */
  const axisPlace = (axis, value) => (axis.log ? Math.log10(value) : value);

  /** Covariance of the points' coordinates. */
  function rise(points, x, y) {
    const places = points.map((point) => [axisPlace(x, point.x.mean), axisPlace(y, point.y.mean)]);
    const middle = [0, 1].map((k) => places.reduce((sum, place) => sum + place[k], 0) / places.length);
    return places.reduce((sum, [a, b]) => sum + (a - middle[0]) * (b - middle[1]), 0);
  }

  /** The range that shows everything, bars aside: with two seeds they would dwarf the rest. */
  function wholeRange(axis, values, references) {
    const all = [...values, ...references.map((line) => line.value)];
    return axis.log
      ? Statistics.limits(all.map(Math.log10), 0.08, 0.05)
      : Statistics.limits(all, 0.06, 1e-3);
  }

  /** Round numbers within a range of logarithms: as many as can be read, as few as orient. */
  function logTicks([low, high]) {
    const [first, last] = [10 ** low, 10 ** high];
    for (const mantissas of [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const ticks = [];
      for (let decade = Math.floor(low); decade <= high; decade++) {
        ticks.push(...mantissas.map((mantissa) => Number(`${mantissa}e${decade}`)));
      }
      const inside = ticks.filter((tick) => tick >= first && tick <= last);
      if (inside.length >= 3 && inside.length <= 8) {
        return inside;
      }
      if (inside.length < 3) {
        break;
      }
    }
    if (high - low > 3) {
      const step = Math.ceil((high - low) / 7);
      const decades = Array.from({ length: 8 }, (_, i) => step * (Math.ceil(low / step) + i));
      return decades.filter((decade) => decade <= high).map((decade) => Number(`1e${decade}`));
    }
    const rough = (last - first) / 5;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
    const start = Math.ceil(first / step);
    return Array.from({ length: Math.floor(last / step) - start + 1 }, (_, i) =>
      Number(((start + i) * step).toPrecision(6)),
    );
  }

  /** The ticks of an axis that shows a range; linear ones are left to the library. */
  function ticks(axis, range) {
    if (!axis.log) {
      return { tickmode: "auto", nticks: 8 };
    }
    const tickvals = logTicks(range);
    return { tickmode: "array", tickvals, ticktext: tickvals.map((tick) => String(tick)) };
  }

  function layout(panel, view) {
    const { x, y } = view;
    const seen = (axis, name) => [
      ...panel.points.map((point) => point[name].mean),
      ...(view.singles ? panel.runs.map((i) => axis.values[i]) : []),
    ];
    const references = {
      x: x.references(panel.task, view.seeds),
      y: y.references(panel.task, view.seeds),
    };
    panel.whole = {
      x: wholeRange(x, seen(x, "x"), references.x),
      y: wholeRange(y, seen(y, "y"), references.y),
    };
    const line = { color: token("edge"), width: 1.25, dash: "6px,3px" };
    const shapes = [
      ...references.y.map(({ value }) => ({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line, layer: "below",
      })),
      ...references.x.map(({ value }) => ({
        type: "line", yref: "paper", y0: 0, y1: 1, x0: value, x1: value, line, layer: "below",
      })),
    ];
    const note = { showarrow: false, font: { size: 11, color: token("quiet") } };
    // Points that rise to the right leave room on the upper left and the lower right.
    const rising = rise(panel.points, x, y) > 0;
    const [side, corner] = rising ? [0, 0] : [1, 1];
    const annotations = [
      ...references.y.map(({ label, value }) => ({
        ...note, text: label, xref: "paper", x: side, xanchor: side ? "right" : "left", y: axisPlace(y, value),
        yanchor: "bottom",
      })),
      ...references.x.map(({ label, value }) => ({
        ...note, text: label, yref: "paper", y: corner, yanchor: corner ? "top" : "bottom",
        x: axisPlace(x, value), xanchor: "right", textangle: -90,
      })),
    ];
    const axisLayout = (axis, name) => ({
      type: axis.log ? "log" : "linear",
      title: { text: escape(axis.label), font: { size: 13 }, standoff: 8 },
      range: (panel.zoom ?? panel.whole)[name],
      gridcolor: token("grid"),
      linecolor: token("edge"),
      zeroline: false,
      ticks: "outside",
      tickcolor: token("edge"),
      exponentformat: "power",
      minexponent: 6,
      automargin: true,
      ...ticks(axis, (panel.zoom ?? panel.whole)[name]),
    });
    return {
      autosize: true,
      showlegend: false,
      hovermode: "closest",
      hoverdistance: 15,
      // a finger on a plot scrolls the page; it zooms with the buttons
      dragmode: coarse.matches ? false : "zoom",
      margin: { l: 55, r: 12, t: 10, b: 50 },
      paper_bgcolor: token("paper"),
      plot_bgcolor: token("paper"),
      font: { family: "system-ui, sans-serif", size: 12, color: token("ink") },
      hoverlabel: {
        bgcolor: token("raised"),
        bordercolor: token("edge"),
        font: { color: token("ink"), size: 12 },
        align: "left",
      },
      xaxis: axisLayout(x, "x"),
      yaxis: axisLayout(y, "y"),
      shapes,
      annotations,
    };
  }

  // ---- zoom ----

  function setZoom(panel, zoom) {
    panel.zoom = zoom;
    const ranges = zoom ?? panel.whole;
    const change = {};
    for (const name of ["x", "y"]) {
      change[`${name}axis.range`] = ranges[name].slice();
      for (const [key, value] of Object.entries(ticks(panel.view[name], ranges[name]))) {
        change[`${name}axis.${key}`] = value;
      }
    }
    Plotly.relayout(panel.plot, change);
    panel.reset.disabled = zoom === null;
    handlers.zoomed();
  }

  /** Both ranges, scaled around their middle and moved by a share of their length. */
  function adjust(panel, scale, across, up) {
    const moved = ([low, high], share) => {
      const middle = (low + high) / 2 + share * (high - low);
      const half = ((high - low) / 2) * scale;
      return [middle - half, middle + half];
    };
    const ranges = panel.zoom ?? panel.whole;
    setZoom(panel, { x: moved(ranges.x, across), y: moved(ranges.y, up) });
  }

  /** Whether a run's point, if it has one, is in what its plot shows. */
  function inView(i, x, y) {
    const panel = panels.get(Data.taskOf[i]);
    if (!panel || panel.zoom === null) {
      return true;
    }
    const inside = (axis, [low, high]) => {
      const value = axisPlace(axis, axis.values[i]);
      return Number.isNaN(value) || (value >= low && value <= high);
    };
    return inside(x, panel.zoom.x) && inside(y, panel.zoom.y);
  }

  // ---- keyboard ----

  function hoverAt(panel, point) {
    panel.current = point;
    for (const [curve, content] of panel.curves) {
      const at = content.findIndex((entry) => entry.point === point);
      if (at >= 0) {
        Plotly.Fx.hover(panel.plot, [{ curveNumber: curve, pointNumber: at }]);
      }
    }
    handlers.announced(describePoint(point, panel.view.x, panel.view.y).join(". "));
  }

  /** The next point along the horizontal axis, or the nearest one of the next method. */
  function neighbor(panel, key) {
    const visible = panel.points.filter((point) => inView(point.runs[0], panel.view.x, panel.view.y));
    const { current } = panel;
    if (!visible.includes(current)) {
      return visible[0];
    }
    const along = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (along) {
      const at = visible.indexOf(current) + along;
      return visible[Math.min(Math.max(at, 0), visible.length - 1)];
    }
    const methods = Data.methods
      .map((method) => method.name)
      .filter((name) => visible.some((point) => point.method === name));
    const step = key === "ArrowDown" ? 1 : methods.length - 1;
    const next = methods[(methods.indexOf(current.method) + step) % methods.length];
    const place = (point) => axisPlace(panel.view.x, point.x.mean);
    return visible
      .filter((point) => point.method === next)
      .reduce((best, point) =>
        Math.abs(place(point) - place(current)) < Math.abs(place(best) - place(current))
          ? point
          : best,
      );
  }

  const moves = {
    ArrowLeft: [-0.25, 0], ArrowRight: [0.25, 0], ArrowUp: [0, 0.25], ArrowDown: [0, -0.25],
  };

  function pressed(panel, event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !panel.points.length) {
      return;
    }
    const { key } = event;
    if (key in moves && event.shiftKey) {
      adjust(panel, 1, ...moves[key]);
    } else if (key in moves) {
      const point = neighbor(panel, key);
      point && hoverAt(panel, point);
    } else if (key === "+" || key === "=") {
      adjust(panel, 0.5, 0, 0);
    } else if (key === "-" || key === "−") {
      adjust(panel, 2, 0, 0);
    } else if (key === "0") {
      setZoom(panel, null);
    } else if (key === "Enter" && panel.points.includes(panel.current)) {
      handlers.chosen(panel.current.runs.find((i) => Data.ok[i]), true);
    } else if (key === "Escape") {
      Plotly.Fx.unhover(panel.plot);
    } else {
      return;
    }
    event.preventDefault();
  }

  // ---- panels ----

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text ?? "";
    return made;
  }

  function create(task) {
    const root = element("article", "panel");
    const head = element("div", "panel-head");
    const heading = element("h3", "", Data.tasks[task].label);
    heading.id = `panel-${task}`;
    const zoom = element("div", "zoom");
    const about = element("p", "quiet");
    const absent = element("p", "warning");
    const plot = element("div", "plot");
    const panel = { task, root, about, absent, plot, zoom: null, points: [], current: null };
    root.dataset.task = task;
    sight.observe(root);
    const button = (label, name, action) => {
      const made = element("button", "", label);
      made.type = "button";
      made.setAttribute("aria-label", `${name}: ${Data.tasks[task].label}`);
      made.addEventListener("click", action);
      zoom.append(made);
      return made;
    };
    panel.buttons = [
      button("+", "Zoom in", () => adjust(panel, 0.5, 0, 0)),
      button("−", "Zoom out", () => adjust(panel, 2, 0, 0)),
    ];
    panel.reset = button("Show all", "Show all", () => setZoom(panel, null));
    panel.reset.disabled = true;
    head.append(heading, zoom, about);
    root.append(head, plot, absent);
    root.setAttribute("aria-labelledby", heading.id);
    plot.tabIndex = 0;
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-roledescription", "plot");
    plot.addEventListener("keydown", (event) => pressed(panel, event));
    // The width changes with the window, and with the number of panels.
    new ResizeObserver(
      () => panel.drawn && plot.isConnected && Plotly.Plots.resize(plot),
    ).observe(plot);
    plot.addEventListener("blur", () => panel.drawn && Plotly.Fx.unhover(plot));
    return panel;
  }

  /** What a click stands for: the run, of a mean's runs the first that gave a result. */
  function clicked(panel, { curveNumber, pointNumber }) {
    const entry = panel.curves.get(curveNumber)?.[pointNumber];
    if (entry) {
      handlers.chosen(entry.point ? entry.point.runs.find((i) => Data.ok[i]) : entry.run, false);
    }
  }

  function connect(panel) {
    // what the library measures text with is no picture to be told of
    document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
    panel.plot.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change || "yaxis.range[0]" in change) {
        const { xaxis, yaxis } = panel.plot.layout;
        setZoom(panel, { x: xaxis.range.slice(), y: yaxis.range.slice() });
      }
    });
    panel.plot.on("plotly_doubleclick", () => setZoom(panel, null));
    panel.plot.on("plotly_click", (event) => clicked(panel, event.points[0]));
  }

  function absence(runs) {
    const parts = [];
    for (const status of statuses) {
      for (const method of Data.methods) {
        const own = runs.filter((i) => Data.column("method")[i] === method.name);
        const count = own.filter((i) => Data.column("status")[i] === status).length;
        if (count) {
          parts.push(`${method.label}: ${count} of ${own.length} ${status}`);
        }
      }
    }
    return parts.length ? `Not on the plot: ${parts.join("; ")}.` : "";
  }

  function aboutTask(task, seeds) {
    const accuracy = Data.fullPrecisionOf(task, seeds, "accuracy_fp32");
    const size = Data.fullPrecisionOf(task, seeds, "size_fp32_bytes");
    if (!Number.isFinite(accuracy.mean)) {
      return "full precision unknown";
    }
    const width = Number.isFinite(accuracy.halfWidth)
      ? ` ± ${(accuracy.halfWidth * 100).toFixed(1)}`
      : "";
    const percent = `${(accuracy.mean * 100).toFixed(1)}${width} %`;
    return `full precision ${percent}, ${Data.text(size.mean / 1000)} kB`;
  }

  // Many plots take seconds to draw: those out of sight wait until they are scrolled to.
  const sight = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const panel = panels.get(Number(entry.target.dataset.task));
        panel.seen = entry.isIntersecting;
        drawSeen(panel);
      }
      handlers.drawn();
    },
    { rootMargin: "50%" },
  );

  function drawSeen(panel) {
    if (panel.seen && panel.pending) {
      panel.pending = false;
      draw(panel);
    }
  }

  function update(panel, view) {
    panel.view = view;
    panel.runs = view.runs.filter((i) => Data.taskOf[i] === panel.task);
    panel.about.textContent = aboutTask(panel.task, view.seeds);
    panel.absent.textContent = absence(panel.runs);
    panel.pending = true;
    drawSeen(panel);
  }

  function draw(panel) {
    const { plot, view } = panel;
    panel.points = pointsOf(panel.runs, view.x, view.y);
    const { label } = Data.tasks[panel.task];
    const empty = panel.points.length === 0;
    plot.setAttribute(
      "aria-label",
      empty
        ? `${label}: no points`
        : `${view.y.label} against ${view.x.label}, ${label}: ${panel.points.length} points. ` +
            "Arrow keys go from point to point, Enter chooses a run.",
    );
    panel.buttons.forEach((button) => (button.disabled = empty));
    if (empty) {
      panel.drawn && Plotly.purge(plot);
      panel.drawn = false;
      plot.classList.add("empty");
      plot.textContent = panel.runs.length
        ? "No selected run of this task has a value on both axes."
        : "No run of this task is selected.";
      return;
    }
    if (!panel.drawn) {
      plot.classList.remove("empty");
      plot.textContent = "";
    }
    const config = { displayModeBar: false, doubleClick: false };
    Plotly.react(plot, traces(panel, view), layout(panel, view), config);
    if (!panel.drawn) {
      connect(panel);
      panel.drawn = true;
    }
  }

  /**
   * Draw a panel per selected task.
   *
   * view: runs, seeds, tasks (selected), x and y (axes), singles, intervals, chosen (run or null).
   * A zoom is kept as long as the axes stay.
   */
  function show(view) {
    const place = document.getElementById("panels");
    const axes = JSON.stringify([view.x.column, view.y.column]);
    for (const task of view.tasks) {
      if (!panels.has(task)) {
        panels.set(task, create(task));
      }
      const panel = panels.get(task);
      if (panel.axes !== axes) {
        panel.axes = axes;
        panel.zoom = null;
        panel.reset.disabled = true;
      }
    }
    const wanted = view.tasks.map((task) => panels.get(task).root);
    if (wanted.length !== place.children.length || wanted.some((e, i) => e !== place.children[i])) {
      place.replaceChildren(...wanted);
    }
    view.tasks.forEach((task) => update(panels.get(task), view));
  }

  /** Move the ring to another chosen run. */
  function mark(chosen) {
    for (const panel of panels.values()) {
      if (panel.drawn && !panel.pending) {
        const { x, y } = ringOf(panel, chosen);
        Plotly.restyle(panel.plot, { x: [x], y: [y] }, [panel.ring]);
      }
    }
  }

  /**
   * `actions`: chosen(run, byKeyboard), zoomed(), announced(text), and drawn(), for plots that have
   * come into sight.
   */
  function build(actions) {
    handlers = actions;
  }

  return { build, show, mark, inView, shownColor };
})();
