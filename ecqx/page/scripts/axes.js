"use strict";
// Ranges and ticks of an axis.

const Axes = (() => {
  const NEAR = 5; // points below full precision that the lower plot shows

  /** A value as annotations place it: its logarithm on a logarithmic axis. */
  const place = (axis, value) => (axis.log ? Math.log10(value) : value);

  /** The range that shows everything, bars aside: with two seeds they would dwarf the rest. */
  function wholeRange(axis, values, references) {
    const all = [...values, ...references.map((line) => line.value)];
    if (axis.log) {
      return Statistics.limits(all.map(Math.log10), 0.08, 0.05);
    }
    const [low, high] = Statistics.limits(all, 0.06, 1e-3);
    // there is nothing beyond 0 and 100 %, but markers there are seen whole
    return axis.share ? [Math.max(low, -2), Math.min(high, 100 + 0.03 * (100 - low))] : [low, high];
  }

  /** The last points below full precision, of an axis of accuracy; null where it is not known. */
  function nearRange(axis, values, references) {
    const full = references[0]?.value;
    if (axis.key !== "accuracy" || !Number.isFinite(full)) {
      return null;
    }
    const near = values.filter((value) => value >= full - NEAR);
    const [, high] = Statistics.limits([...near, full], 0.06, 0.2);
    return [full - NEAR - 0.2, Math.min(high, 100.2)];
  }

  /** Round numbers within a range of logarithms: enough for orientation, few enough to read. */
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

  return { place, wholeRange, nearRange, ticks };
})();
