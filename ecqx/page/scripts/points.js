"use strict";
// Operating points: means over runs, their fronts, and their descriptions.

const Points = (() => {
  const LONGEST = 80; // characters of a reason in a label

  /** Operating points of one task: the selected runs of a method and point, and their means. */
  function of(runs, x, y) {
    const groups = new Map();
    for (const i of runs) {
      const key = JSON.stringify([Data.column("method")[i], Data.column("point")[i]]);
      groups.has(key) ? groups.get(key).push(i) : groups.set(key, [i]);
    }
    const points = [...groups.values()].map((own) => {
      const means = [x, y].map((axis) =>
        Statistics.interval(own.map((i) => axis.values[i]), Data.t),
      );
      const choosing = [x, y].map((axis) =>
        axis.choosing === axis.values
          ? null
          : Statistics.interval(own.map((i) => axis.choosing[i]), Data.t).mean,
      );
      return {
        runs: own,
        method: Data.column("method")[own[0]],
        point: Data.column("point")[own[0]],
        x: means[0],
        y: means[1],
        cost: -x.better * (choosing[0] ?? means[0].mean),
        gain: y.better * (choosing[1] ?? means[1].mean),
        complete: means.every(({ n }) => n === own.length),
      };
    });
    const shown = points.filter(
      (point) => Number.isFinite(point.x.mean) && Number.isFinite(point.y.mean),
    );
    const mark = (some, name) => {
      const on = Statistics.front(
        some.map((point) => (point.complete ? point.gain : NaN)),
        some.map((point) => point.cost),
      );
      some.forEach((point, i) => (point[name] = on[i]));
    };
    mark(shown, "overall");
    for (const method of Data.methods) {
      mark(shown.filter((point) => point.method === method.name), "own");
    }
    return shown.sort((a, b) => a.x.mean - b.x.mean || a.y.mean - b.y.mean);
  }

  function spread({ mean, halfWidth }) {
    const width = Number.isFinite(halfWidth) ? ` ± ${Data.text(halfWidth)}` : "";
    return Data.text(mean) + width;
  }

  /** Reasons for runs without a result, where the table gives them: one line per reason. */
  function reasons(runs) {
    const counts = new Map();
    for (const i of runs.filter((i) => Data.reason(i))) {
      // a plot's label does not wrap; the run's own details have the whole reason
      const reason = Data.reason(i);
      const short = reason.length > LONGEST ? `${reason.slice(0, LONGEST)}…` : reason;
      const line = `${Data.column("status")[i]}: ${short}`;
      counts.set(line, (counts.get(line) ?? 0) + 1);
    }
    return [...counts].map(([line, count]) => `${count} ${line}`);
  }

  function describe(point, x, y) {
    const n = point.runs.filter((i) => Data.ok[i]).length;
    const lacking = n < point.runs.length ? ` of ${point.runs.length} runs` : "";
    const seeds = `mean of ${n} seed${n === 1 ? "" : "s"}${lacking}`;
    return [
      `${Data.methodLabel(point.method)}, ${Data.pointLabel(point.runs[0])}`,
      seeds,
      ...reasons(point.runs),
      `${y.label}: ${spread(point.y)}`,
      `${x.label}: ${spread(point.x)}`,
    ];
  }

  function describeRun(i, x, y) {
    return [
      `${Data.methodLabel(Data.column("method")[i])}, ${Data.pointLabel(i)}`,
      `single run, seed ${Data.column("seed")[i]}`,
      `${y.label}: ${Data.text(y.values[i])}`,
      `${x.label}: ${Data.text(x.values[i])}`,
    ];
  }

  return { of, describe, describeRun };
})();
