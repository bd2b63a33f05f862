"use strict";
// A plot by keyboard: from point to point, zoom, choice.

const Keys = (() => {
  function hoverAt(panel, point) {
    panel.current = point;
    for (const [curve, content] of panel.curves) {
      const at = content.findIndex((entry) => entry.point === point);
      if (at >= 0) {
        Plotly.Fx.hover(panel.plot, [{ curveNumber: curve, pointNumber: at }]);
      }
    }
    panel.actions.announced(Points.describe(point, panel.view.x, panel.view.y).join(". "));
  }

  /** The next point along the horizontal axis, or the nearest one of the next method. */
  function neighbor(panel, key) {
    const { current, view } = panel;
    const visible = panel.points.filter((point) =>
      Zoom.includes(panel, point.runs[0], view.x, view.y),
    );
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
    const place = (point) => Axes.place(view.x, point.x.mean);
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
      Zoom.adjust(panel, 1, ...moves[key]);
    } else if (key in moves) {
      const point = neighbor(panel, key);
      point && hoverAt(panel, point);
    } else if (key === "+" || key === "=") {
      Zoom.adjust(panel, 0.5, 0, 0);
    } else if (key === "-" || key === "−") {
      Zoom.adjust(panel, 2, 0, 0);
    } else if (key === "0") {
      Zoom.set(panel, null);
    } else if (key === "Enter" && panel.points.includes(panel.current)) {
      panel.actions.chosen(panel.current.runs.find((i) => Data.ok[i]), true);
    } else if (key === "Escape") {
      Plotly.Fx.unhover(panel.plot);
    } else {
      return;
    }
    event.preventDefault();
  }

  return { pressed };
})();
