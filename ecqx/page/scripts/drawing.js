"use strict";
// Traces and layout of a panel, as the plotting library takes them.

const Drawing = (() => {
  const LABEL = 14; // pixels that a label takes across its line
  const MARGINS = 60; // pixels of a plot, about, that its axes take
  const coarse = window.matchMedia("(pointer: coarse)");

  const escape = (text) =>
    String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  const hover = (lines) => lines.map(escape).join("<br>");

  /** Where the ring around the chosen run is; nowhere if it is not on the panel. */
  function ringOf(panel, chosen) {
    const at = panel.runs.filter((i) => i === chosen);
    return { x: at.map((i) => panel.view.x.values[i]), y: at.map((i) => panel.view.y.values[i]) };
  }

  function traces(panel, view) {
    const { x, y } = view;
    const result = [];
    const paper = Colors.token("paper");
    const ink = Colors.token("ink");
    panel.curves = new Map(); // curve -> what its points are
    const add = (trace, content) => {
      panel.curves.set(result.length, content);
      result.push(trace);
    };
    const looks = Data.methods.map((method) => ({ ...method, shown: Colors.shown(method.color) }));
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
            text: own.map((i) => hover(Points.describeRun(i, x, y))),
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
          text: own.map((point) => hover(Points.describe(point, x, y))),
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
        marker: { symbol: "circle-open", size: 18, color: Colors.token("accent"), line: { width: 3 } },
        hoverinfo: "skip",
      },
      [],
    );
    return result;
  }

  /** Covariance of the points' coordinates. */
  function rise(points, x, y) {
    const places = points.map((point) => [Axes.place(x, point.x.mean), Axes.place(y, point.y.mean)]);
    const middle = [0, 1].map((k) => places.reduce((sum, place) => sum + place[k], 0) / places.length);
    return places.reduce((sum, [a, b]) => sum + (a - middle[0]) * (b - middle[1]), 0);
  }

  /**
   * Shifts in pixels, in the order of the places, that keep labels apart: each at or above its line,
   * as near to it as those below it allow.
   */
  function shifts(places) {
    const order = [...places.keys()].sort((i, j) => places[i] - places[j]);
    const result = new Array(places.length).fill(0);
    let free = -Infinity;
    for (const i of order) {
      result[i] = Math.max(0, free - places[i]);
      free = places[i] + result[i] + LABEL;
    }
    return result;
  }

  /** What the lines of full precision and anchors are called, where they do not cover each other. */
  function labels(panel, ranges, height) {
    const { x, y } = panel.view;
    const { references } = panel;
    const note = { showarrow: false, font: { size: 11, color: Colors.token("quiet") } };
    // Points that rise to the right leave room on the upper left and the lower right.
    const rising = rise(panel.points, x, y) > 0;
    const [side, corner] = rising ? [0, 0] : [1, 1];
    const pixels = (axis, [low, high], lines, length) =>
      lines.map(({ value }) => ((Axes.place(axis, value) - low) / (high - low)) * length);
    const inside = (axis, [low, high]) => ({ value }) =>
      Axes.place(axis, value) >= low && Axes.place(axis, value) <= high;
    const across = references.y.filter(inside(y, ranges.y));
    const upright = references.x.filter(inside(x, ranges.x));
    const up = shifts(pixels(y, ranges.y, across, height - MARGINS));
    const left = shifts(
      pixels(x, ranges.x, upright, panel.plot.clientWidth - MARGINS).map((place) => -place),
    );
    return [
      ...across.map(({ label, value }, k) => ({
        ...note, text: label, xref: "paper", x: side, xanchor: side ? "right" : "left",
        y: Axes.place(y, value), yanchor: "bottom", yshift: up[k],
      })),
      ...upright.map(({ label, value }, k) => ({
        ...note, text: label, yref: "paper", y: corner, yanchor: corner ? "top" : "bottom",
        x: Axes.place(x, value), xanchor: "right", textangle: -90, xshift: -left[k],
      })),
    ];
  }

  /** Layout of the plot, or with `near` of the lower one; its ranges, and its height in pixels. */
  function layout(panel, view, near = false) {
    const { x, y } = view;
    const seen = (axis, name) => [
      ...panel.points.map((point) => point[name].mean),
      ...(view.singles ? panel.runs.map((i) => axis.values[i]) : []),
    ];
    const references = {
      x: x.references(panel.task, view.seeds),
      y: y.references(panel.task, view.seeds),
    };
    panel.references = references;
    panel.whole = {
      x: Axes.wholeRange(x, seen(x, "x"), references.x),
      y: Axes.wholeRange(y, seen(y, "y"), references.y),
    };
    panel.near.range = Axes.nearRange(y, seen(y, "y"), references.y);
    const shown = near ? { x: panel.whole.x, y: panel.near.range } : (panel.zoom ?? panel.whole);
    const line = { color: Colors.token("edge"), width: 1.25, dash: "6px,3px" };
    const shapes = [
      ...references.y.map(({ value }) => ({
        type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line, layer: "below",
      })),
      ...references.x.map(({ value }) => ({
        type: "line", yref: "paper", y0: 0, y1: 1, x0: value, x1: value, line, layer: "below",
      })),
    ];
    const axisLayout = (axis, name) => ({
      type: axis.log ? "log" : "linear",
      title: { text: escape(axis.label), font: { size: 13 }, standoff: 8 },
      range: shown[name].slice(),
      gridcolor: Colors.token("grid"),
      linecolor: Colors.token("edge"),
      zeroline: false,
      ticks: "outside",
      tickcolor: Colors.token("edge"),
      exponentformat: "power",
      minexponent: 6,
      automargin: true,
      ...Axes.ticks(axis, shown[name]),
    });
    return {
      autosize: true,
      showlegend: false,
      hovermode: "closest",
      hoverdistance: 15,
      // a finger on a plot scrolls the page; it zooms with the buttons
      dragmode: near || coarse.matches ? false : "zoom",
      margin: { l: 55, r: 12, t: 10, b: 50 },
      paper_bgcolor: Colors.token("paper"),
      plot_bgcolor: Colors.token("paper"),
      font: { family: "system-ui, sans-serif", size: 12, color: Colors.token("ink") },
      hoverlabel: {
        bgcolor: Colors.token("raised"),
        bordercolor: Colors.token("edge"),
        font: { color: Colors.token("ink"), size: 12 },
        align: "left",
      },
      xaxis: axisLayout(x, "x"),
      yaxis: axisLayout(y, "y"),
      shapes,
      annotations: labels(panel, shown, (near ? panel.near.plot : panel.plot).clientHeight),
    };
  }

  return { ringOf, traces, layout, labels };
})();
