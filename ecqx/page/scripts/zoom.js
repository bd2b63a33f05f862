"use strict";
// What part of its axes a panel shows.

const Zoom = (() => {
  function set(panel, zoom) {
    panel.zoom = zoom;
    const ranges = zoom ?? panel.whole;
    const change = {};
    for (const name of ["x", "y"]) {
      change[`${name}axis.range`] = ranges[name].slice();
      for (const [key, value] of Object.entries(Axes.ticks(panel.view[name], ranges[name]))) {
        change[`${name}axis.${key}`] = value;
      }
    }
    change.annotations = Drawing.labels(panel, ranges, panel.plot.clientHeight);
    Plotly.relayout(panel.plot, change);
    panel.reset.disabled = zoom === null;
    panel.actions.zoomed();
  }

  /** Both ranges, scaled around their middle and moved by a share of their length. */
  function adjust(panel, scale, across, up) {
    const moved = ([low, high], share) => {
      const middle = (low + high) / 2 + share * (high - low);
      const half = ((high - low) / 2) * scale;
      return [middle - half, middle + half];
    };
    const ranges = panel.zoom ?? panel.whole;
    set(panel, { x: moved(ranges.x, across), y: moved(ranges.y, up) });
  }

  /** Whether a run's point, if it has one, is in what the panel shows. */
  function includes(panel, i, x, y) {
    if (panel.zoom === null) {
      return true;
    }
    const inside = (axis, [low, high]) => {
      const value = Axes.place(axis, axis.values[i]);
      return Number.isNaN(value) || (value >= low && value <= high);
    };
    return inside(x, panel.zoom.x) && inside(y, panel.zoom.y);
  }

  return { set, adjust, includes };
})();
