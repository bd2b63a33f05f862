"use strict";
// One plot per task: when it is drawn, the text around it, clicks.

const Panels = (() => {
  const panels = new Map(); // task -> panel
  let actions = {};

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
    const panel = {
      task, root, about, absent, plot, actions, zoom: null, points: [], current: null,
      near: { plot: element("div", "near"), range: null, drawn: false },
    };
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
      button("+", "Zoom in", () => Zoom.adjust(panel, 0.5, 0, 0)),
      button("−", "Zoom out", () => Zoom.adjust(panel, 2, 0, 0)),
    ];
    panel.reset = button("Show all", "Show all", () => Zoom.set(panel, null));
    panel.reset.disabled = true;
    for (const format of ["svg", "png", "csv"]) {
      const label = format.toUpperCase();
      panel.buttons.push(button(label, `Download as ${label}`, () => Export.save(panel, format)));
    }
    head.append(heading, zoom, about);
    root.append(head, plot, panel.near.plot, absent);
    panel.near.plot.setAttribute("role", "img");
    panel.near.plot.setAttribute(
      "aria-label", `${Data.tasks[task].label}: the last five points below full precision`,
    );
    root.setAttribute("aria-labelledby", heading.id);
    plot.tabIndex = 0;
    plot.setAttribute("role", "application");
    plot.setAttribute("aria-roledescription", "plot");
    plot.addEventListener("keydown", (event) => Keys.pressed(panel, event));
    // The width changes with the window, and with the number of panels.
    new ResizeObserver(() => {
      if (panel.drawn && plot.isConnected) {
        Plotly.Plots.resize(plot);
        panel.near.drawn && Plotly.Plots.resize(panel.near.plot);
      }
    }).observe(plot);
    plot.addEventListener("blur", () => panel.drawn && Plotly.Fx.unhover(plot));
    return panel;
  }

  /** What a click stands for: the run, of a mean's runs the first that gave a result. */
  function clicked(panel, { curveNumber, pointNumber }) {
    const entry = panel.curves.get(curveNumber)?.[pointNumber];
    if (entry) {
      const run = entry.point ? entry.point.runs.find((i) => Data.ok[i]) : entry.run;
      actions.chosen(run, false);
    }
  }

  function connect(panel) {
    // the element in which the library measures text is not for screen readers
    document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
    panel.plot.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change || "yaxis.range[0]" in change) {
        const { xaxis, yaxis } = panel.plot.layout;
        Zoom.set(panel, { x: xaxis.range.slice(), y: yaxis.range.slice() });
      }
    });
    panel.plot.on("plotly_doubleclick", () => Zoom.set(panel, null));
    panel.plot.on("plotly_click", (event) => clicked(panel, event.points[0]));
  }

  function absence(runs) {
    const parts = [];
    for (const status of Data.statuses) {
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

  // Results that were put together of several may lack a method on a task.
  const known = new Set(
    Data.taskOf.map((task, i) => JSON.stringify([task, Data.column("method")[i]])),
  );

  function missing(task, methods) {
    const none = Data.methods.filter(
      ({ name }) => methods.has(name) && !known.has(JSON.stringify([task, name])),
    );
    return none.length ? ` No run of ${none.map(({ label }) => label).join(", ")}.` : "";
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
      actions.drawn();
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
    panel.absent.textContent = (absence(panel.runs) + missing(panel.task, view.methods)).trim();
    panel.pending = true;
    drawSeen(panel);
  }

  function draw(panel) {
    const { plot, view } = panel;
    panel.points = Points.of(panel.runs, view.x, view.y);
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
      clearNear(panel);
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
    Plotly.react(plot, Drawing.traces(panel, view), Drawing.layout(panel, view), config);
    if (!panel.drawn) {
      connect(panel);
      panel.drawn = true;
    }
    drawNear(panel, config);
  }

  function clearNear({ near }) {
    near.drawn && Plotly.purge(near.plot);
    near.drawn = false;
    near.plot.hidden = true;
  }

  /** The lower plot, where the axes have one. */
  function drawNear(panel, config) {
    const { near, view } = panel;
    if (near.range === null) {
      clearNear(panel);
      return;
    }
    near.plot.hidden = false;
    const layout = Drawing.layout(panel, view, true);
    Plotly.react(near.plot, Drawing.traces(panel, view), layout, config);
    if (!near.drawn) {
      near.plot.on("plotly_click", (event) => clicked(panel, event.points[0]));
      near.drawn = true;
    }
  }

  /**
   * Draw a panel per selected task.
   *
   * view: runs, seeds, tasks, methods (selected), x and y (axes), singles, intervals, chosen (run or null).
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

  /** Whether a run's point, if it has one, is in what its plot shows. */
  function inView(i, x, y) {
    const panel = panels.get(Data.taskOf[i]);
    return !panel || Zoom.includes(panel, i, x, y);
  }

  /** Move the ring to another chosen run. */
  function mark(chosen) {
    for (const panel of panels.values()) {
      if (panel.drawn && !panel.pending) {
        const { x, y } = Drawing.ringOf(panel, chosen);
        Plotly.restyle(panel.plot, { x: [x], y: [y] }, [panel.ring]);
        panel.near.drawn && Plotly.restyle(panel.near.plot, { x: [x], y: [y] }, [panel.ring]);
      }
    }
  }

  /**
   * `given`: chosen(run, byKeyboard), zoomed(), announced(text), and drawn(), for plots that have
   * come into sight.
   */
  function build(given) {
    actions = given;
  }

  return { build, show, mark, inView };
})();
