"use strict";
// Statistics over seeds and fronts, as in the tables and figures of the same results.

const Statistics = (() => {
  /** Mean of the finite values, half width of its 95 % t-interval (NaN below two), their count. */
  function interval(values, t) {
    const finite = values.filter(Number.isFinite);
    const n = finite.length;
    if (n === 0) {
      return { mean: NaN, halfWidth: NaN, n };
    }
    const mean = finite.reduce((sum, value) => sum + value, 0) / n;
    if (n === 1) {
      return { mean, halfWidth: NaN, n };
    }
    const squares = finite.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return { mean, halfWidth: t[n] * Math.sqrt(squares / (n - 1) / n), n };
  }

  /**
   * Which points no other point surpasses: none is at least as good in both and better in one.
   * Points with a value that is not finite are on no front. Compared to 12 significant digits: equal
   * means differ in their last bits.
   */
  function front(gains, costs) {
    const [gain, cost] = [gains, costs].map((values) =>
      values.map((value) => Number(value.toPrecision(12))),
    );
    const on = new Array(gain.length).fill(false);
    const order = [...gain.keys()].filter(
      (i) => Number.isFinite(gain[i]) && Number.isFinite(cost[i]),
    );
    order.sort((i, j) => cost[i] - cost[j] || gain[j] - gain[i]);
    let bestCheaper = -Infinity;
    for (let start = 0; start < order.length; ) {
      const best = gain[order[start]];
      let end = start;
      for (; end < order.length && cost[order[end]] === cost[order[start]]; end++) {
        on[order[end]] = gain[order[end]] === best && best > bestCheaper;
      }
      bestCheaper = Math.max(bestCheaper, best);
      start = end;
    }
    return on;
  }

  /** Limits around the finite values with a margin; the same for values that are all alike. */
  function limits(values, margin, least) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (low > high) {
      return [0, 1];
    }
    const pad = Math.max(margin * (high - low), least);
    return [low - pad, high + pad];
  }

  return { interval, front, limits };
})();
