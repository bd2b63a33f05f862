"use strict";
// The table of the selected runs, and its download.

const Table = (() => {
  const PAGE = 100; // rows added at a time
  const head = document.querySelector("#table thead tr");
  const body = document.querySelector("#table tbody");
  const listed = document.getElementById("listed");
  const more = document.getElementById("show-more");
  let order = { key: null, ascending: true };
  let limit = PAGE;
  let view = null;
  let onChosen = () => {};

  const number = (name, factor, digits) => (i) => {
    const value = Data.column(name)[i] * factor;
    return Number.isNaN(value) ? "–" : digits === null ? Data.text(value) : value.toFixed(digits);
  };
  const whole = (value) => (value === null || Number.isNaN(value) ? "–" : String(value));
  const fixed = [
    { key: "point", label: "Operating point", text: (i) => Data.pointLabel(i) },
    { key: "status", label: "Status", text: (i) => Data.column("status")[i] },
    { key: "method", label: "Method", text: (i) => Data.methodLabel(Data.column("method")[i]) },
    { key: "task", label: "Task", text: (i) => Data.tasks[Data.taskOf[i]].label },
    { key: "seed", label: "Seed", numeric: true, text: (i) => String(Data.column("seed")[i]) },
    { key: "bits", label: "Bits", numeric: true, text: (i) => whole(Data.column("bits")[i]) },
    { key: "accuracy", label: "Accuracy [%]", numeric: true, text: number("accuracy", 100, 2) },
    { key: "size_bytes", label: "Size [kB]", numeric: true, text: number("size_bytes", 1e-3, null) },
    {
      key: "compression_ratio",
      label: "Ratio",
      numeric: true,
      text: number("compression_ratio", 1, null),
    },
    { key: "sparsity", label: "Sparsity [%]", numeric: true, text: number("sparsity", 100, 1) },
  ];

  /** The fixed columns, and those of the axes that are not among them. */
  function columns() {
    const extra = [view.y, view.x]
      .filter((axis, at, all) => all.findIndex((other) => other.column === axis.column) === at)
      .filter((axis) => !fixed.some((column) => column.key === axis.column))
      .map((axis) => ({
        key: axis.column,
        label: axis.label,
        numeric: true,
        text: (i) => Data.text(axis.values[i]),
        value: (i) => axis.values[i],
      }));
    return [...fixed, ...extra].map((column) => ({
      ...column,
      value:
        column.value ??
        (column.numeric ? (i) => Data.column(column.key)[i] : (i) => column.text(i)),
    }));
  }

  /** Undefined values last, whichever way; equal ones stay in the order of the file. */
  function sorted(runs) {
    const column = columns().find(({ key }) => key === order.key);
    if (!column) {
      // runs without a point on the plots would otherwise be overlooked
      return [...runs.filter((i) => !Data.ok[i]), ...runs.filter((i) => Data.ok[i])];
    }
    const sign = order.ascending ? 1 : -1;
    const undefinedValue = (value) => value === null || Number.isNaN(value);
    return [...runs].sort((i, j) => {
      const [a, b] = [column.value(i), column.value(j)];
      if (undefinedValue(a) || undefinedValue(b)) {
        return undefinedValue(a) - undefinedValue(b);
      }
      return sign * (column.numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    });
  }

  function drawHead() {
    const cells = columns().map((column) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.className = column.numeric ? "number" : "";
      const sortedBy = order.key === column.key;
      if (sortedBy) {
        cell.setAttribute("aria-sort", order.ascending ? "ascending" : "descending");
      }
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.key = column.key;
      button.textContent = column.label + (sortedBy ? (order.ascending ? " ▲" : " ▼") : "");
      button.addEventListener("click", () => {
        order = { key: column.key, ascending: sortedBy ? !order.ascending : true };
        draw();
        [...head.querySelectorAll("button")]
          .find((other) => other.dataset.key === column.key)
          .focus();
      });
      cell.append(button);
      return cell;
    });
    head.replaceChildren(...cells);
  }

  function row(i, shown) {
    const line = document.createElement("tr");
    line.dataset.run = i;
    line.className = Data.ok[i] ? "" : "absent";
    if (view.chosen === i) {
      line.setAttribute("aria-current", "true");
    }
    for (const column of shown) {
      const cell = line.insertCell();
      cell.className = column.numeric ? "number" : column.key === "status" ? "status" : "";
      if (column.key === "point") {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = column.text(i);
        button.title = Data.column("point")[i];
        button.addEventListener("click", () => onChosen(i));
        cell.append(button);
      } else {
        cell.textContent = column.text(i);
      }
    }
    return line;
  }

  function draw() {
    drawHead();
    const runs = sorted(view.runs);
    const shown = columns();
    body.replaceChildren(...runs.slice(0, limit).map((i) => row(i, shown)));
    const rows = Math.min(limit, runs.length);
    listed.textContent = `${rows} of ${runs.length} rows listed.`;
    more.hidden = rows === runs.length;
  }

  /** `selected`: runs (in view), x and y (axes), chosen (run or null). */
  function show(selected) {
    view = selected;
    limit = PAGE;
    draw();
  }

  /** Mark the row of another chosen run. */
  function mark(chosen) {
    view.chosen = chosen;
    for (const line of body.rows) {
      if (line.dataset.run === String(chosen)) {
        line.setAttribute("aria-current", "true");
      } else {
        line.removeAttribute("aria-current");
      }
    }
  }

  // ---- download ----

  /** The listed runs in their order with all columns of runs.csv, then attributions on the axes. */
  function csv() {
    const extra = [view.y, view.x].filter(
      (axis, at, all) =>
        Data.column(axis.column) === undefined &&
        all.findIndex((other) => other.column === axis.column) === at,
    );
    const lines = [[...Data.names, ...extra.map((axis) => axis.column)]];
    for (const i of sorted(view.runs)) {
      lines.push([
        ...Data.names.map((name) => Data.column(name)[i]),
        // single precision holds seven digits
        ...extra.map((axis) => Number(axis.values[i].toPrecision(7))),
      ]);
    }
    return Files.csv(lines);
  }

  /** `chosen(run)` is called for a row that is chosen. */
  function build(chosen) {
    onChosen = chosen;
    more.addEventListener("click", () => {
      limit += PAGE;
      const first = body.children.length;
      draw();
      body.children[first]?.querySelector("button").focus();
    });
    document.getElementById("download").addEventListener("click", () => {
      Files.save("ecqx-selection.csv", csv(), "text/csv");
    });
  }

  return { build, show, mark };
})();
