"use strict";
// What is chosen, and everything that follows from it.

(() => {
  const control = (name) => document.getElementById(name);
  const summary = control("summary");
  let chosen = null;
  let view = null;

  function fillAxes() {
    for (const [name, preferred] of [["x", "size_bytes"], ["y", "accuracy"]]) {
      for (const [heading, choices] of Data.choices()) {
        const options = choices.map(([key, label]) => new Option(label, key));
        if (heading === null) {
          control(name).append(...options);
        } else {
          const group = document.createElement("optgroup");
          group.label = heading;
          group.append(...options);
          control(name).append(group);
        }
      }
      control(name).value = preferred;
    }
    for (const option of [...control("subset").options]) {
      option.disabled = Data.subsets.size > 0 && !Data.subsets.has(option.value);
    }
  }

  function describe(runs, listed) {
    const count = (status) => runs.filter((i) => Data.column("status")[i] === status).length;
    const parts = [`${count("ok")} ok`];
    for (const status of Data.statuses) {
      count(status) && parts.push(`${count(status)} ${status}`);
    }
    const absent = runs.length - count("ok");
    const lacking = absent
      ? ` Runs that are not ok have no point on the plots; they come first in the table.`
      : "";
    const zoomed = listed < runs.length ? ` In view of the plots: ${listed}.` : "";
    return `${runs.length} of ${Data.count} runs selected: ${parts.join(", ")}.${zoomed}${lacking}`;
  }

  function listInView() {
    const runs = view.runs.filter((i) => Panels.inView(i, view.x, view.y));
    const text = describe(view.runs, runs.length);
    if (summary.textContent !== text) {
      summary.textContent = text;
    }
    Table.show({ ...view, runs });
  }

  function update() {
    showAll();
    State.keep(first, chosen);
  }

  function showAll() {
    const subset = control("subset").value;
    const signed = control("signed").value === "true";
    view = {
      ...Selection.read(),
      x: Data.axis(control("x").value, subset, signed),
      y: Data.axis(control("y").value, subset, signed),
      singles: control("singles").checked,
      intervals: control("intervals").checked,
      chosen,
    };
    Panels.show(view);
    listInView();
    showRun();
  }

  function showRun() {
    if (chosen !== null) {
      Run.show(chosen, control("subset").value, control("signed").value === "true");
    }
  }

  function announce(text) {
    control("announcement").textContent = text;
  }

  function choose(i, moveFocus) {
    chosen = i;
    view.chosen = i;
    Panels.mark(i);
    Table.mark(i);
    showRun();
    State.keep(first, chosen);
    const method = Data.methodLabel(Data.column("method")[i]);
    announce(`Chosen: ${method}, ${Data.pointLabel(i)}, seed ${Data.column("seed")[i]}.`);
    if (moveFocus) {
      control("run-heading").focus();
    }
  }

  /** Mark the time at which the first plots have been painted: a second frame begins then. */
  function tellReady() {
    if (!performance.getEntriesByName("ready").length) {
      requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("ready")));
    }
  }

  fillAxes();
  const counted = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  control("extent").textContent = [
    counted(Data.count, "run"),
    counted(Data.tasks.length, "task"),
    counted(Data.methods.length, "method"),
    counted(new Set(Data.column("seed")).size, "seed"),
  ].join(", ");
  Panels.build({ chosen: choose, zoomed: listInView, announced: announce, drawn: tellReady });
  Table.build((i) => choose(i, true));
  Selection.build(update);
  control("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["x", "y", "subset", "signed", "singles", "intervals"]) {
    control(name).addEventListener("change", update);
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => {
    Selection.recolor();
    update();
  });
  About.build();
  const first = State.choices();
  chosen = State.restore();
  showAll();
  window.addEventListener("hashchange", () => {
    for (const [name, value] of Object.entries(first)) {
      control(name).value = value;
    }
    ["singles", "intervals"].forEach((name) => (control(name).checked = true));
    chosen = State.restore();
    showAll();
  });
})();
