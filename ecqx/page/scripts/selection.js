"use strict";
// The filters: which runs are selected.

const Selection = (() => {
  const bits = (i) => {
    const value = Data.column("bits")[i];
    return Number.isNaN(value) || value === null ? "none" : String(value);
  };
  const ascending = (a, b) => (Number.isNaN(a - b) ? a.localeCompare(b) : a - b);
  const distinct = (of) =>
    [...new Set(Array.from({ length: Data.count }, (_, i) => of(i)))].sort(ascending);
  const valueOf = {
    task: (i) => String(Data.taskOf[i]),
    method: (i) => Data.column("method")[i],
    bits,
    seed: (i) => String(Data.column("seed")[i]),
  };
  const filters = [
    {
      name: "task",
      heading: "Tasks",
      options: Data.tasks.map((task, number) => [String(number), task.label]),
    },
    {
      name: "method",
      heading: "Methods",
      options: Data.methods.map((method) => [method.name, method.label]),
    },
    { name: "bits", heading: "Bits", options: distinct(bits).map((value) => [value, value]) },
    {
      name: "seed",
      heading: "Seeds",
      options: distinct(valueOf.seed).map((value) => [value, value]),
    },
  ];
  const boxes = new Map();

  function glyph(method) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "-1.5 -0.6 3 1.2");
    svg.setAttribute("class", "glyph");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(svg.namespaceURI, "path");
    line.setAttribute("d", "M-1.5 0H1.5");
    line.setAttribute("stroke-width", "0.12");
    const dash = method.dash.includes("px")
      ? method.dash.split(",").map((length) => parseFloat(length) * 0.08)
      : [];
    line.setAttribute("stroke-dasharray", dash.join(" "));
    const marker = document.createElementNS(svg.namespaceURI, "path");
    marker.setAttribute("d", method.glyph);
    marker.setAttribute("stroke-width", "0.1");
    svg.append(line, marker);
    const color = () => {
      const shown = Colors.shown(method.color);
      line.setAttribute("stroke", shown);
      marker.setAttribute("stroke", shown);
      marker.setAttribute("fill", shown);
    };
    return { svg, color };
  }

  const glyphs = [];

  /** Build the filters; `changed` is called whenever one of them is used. */
  function build(changed) {
    const place = document.getElementById("filters");
    for (const filter of filters) {
      const group = document.createElement("fieldset");
      group.id = `filter-${filter.name}`;
      const legend = document.createElement("legend");
      legend.textContent = filter.heading;
      const choices = document.createElement("div");
      choices.className = "choices";
      const own = [];
      for (const [value, label] of filter.options) {
        const line = document.createElement("label");
        const box = document.createElement("input");
        box.type = "checkbox";
        box.checked = true;
        box.value = value;
        box.addEventListener("change", changed);
        line.append(box);
        if (filter.name === "method") {
          const { svg, color } = glyph(Data.methods.find((method) => method.name === value));
          glyphs.push(color);
          line.append(svg);
        }
        line.append(label);
        choices.append(line);
        own.push(box);
      }
      for (const [label, checked] of [["all", true], ["none", false]]) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = label;
        button.setAttribute("aria-label", `${filter.heading}: ${label}`);
        button.addEventListener("click", () => {
          own.forEach((box) => (box.checked = checked));
          changed();
        });
        legend.append(button);
      }
      boxes.set(filter.name, own);
      group.append(legend, choices);
      place.append(group);
    }
    recolor();
  }

  function recolor() {
    glyphs.forEach((color) => color());
  }

  const checked = (name) =>
    new Set(boxes.get(name).filter((box) => box.checked).map((box) => box.value));

  /** Numbers of the selected runs, and the selected seeds, tasks and methods. */
  function read() {
    const wanted = filters.map(({ name }) => [valueOf[name], checked(name)]);
    const runs = [];
    for (let i = 0; i < Data.count; i++) {
      if (wanted.every(([of, values]) => values.has(of(i)))) {
        runs.push(i);
      }
    }
    return { runs, seeds: checked("seed"), tasks: [...checked("task")].map(Number), methods: checked("method") };
  }

  // Tasks are numbered in the page; in an address they have their names.
  const namedOf = (name, value) => {
    const task = name === "task" ? Data.tasks[Number(value)] : null;
    return task ? `${task.dataset}/${task.model}` : value;
  };

  /** The filters that leave something out: [name, the names that are left]; "" for none. */
  function chosen() {
    return filters
      .map(({ name, options }) => [name, [...checked(name)], options.length])
      .filter(([, values, count]) => values.length < count)
      .map(([name, values]) => [
        name,
        values.length ? values.map((value) => namedOf(name, value)) : [""],
      ]);
  }

  /** Check what `asked(name)` lists; all where it gives null. */
  function restore(asked) {
    for (const { name } of filters) {
      const wanted = asked(name);
      for (const box of boxes.get(name)) {
        box.checked = wanted === null || wanted.includes(namedOf(name, box.value));
      }
    }
  }

  return { build, read, recolor, chosen, restore };
})();
