"use strict";
// A plot as a file: a picture with its legend, or the numbers of its points.

const Export = (() => {
  const SIZE = { width: 900, height: 600 };

  const fileName = (panel, suffix) => {
    const { dataset, model } = Data.tasks[panel.task];
    const axes = [panel.view.y, panel.view.x].map(({ column }) => column.replaceAll("/", "-"));
    return `ecqx-${dataset}-${model}-${axes.join("-vs-")}.${suffix}`;
  };

  /** The plot as it is shown, with a title and a legend, as text of an SVG or bytes of a PNG. */
  async function picture(panel, format) {
    const { data, layout } = panel.plot;
    const figure = {
      data: data.map((trace) => ({ ...trace, showlegend: Boolean(trace.name && trace.x.length) })),
      layout: {
        ...layout,
        showlegend: true,
        title: { text: Data.tasks[panel.task].label, font: { size: 15 } },
        margin: { ...layout.margin, t: 45 },
      },
    };
    const scale = format === "png" ? 2 : 1;
    const url = await Plotly.toImage(figure, { format, ...SIZE, scale });
    const content = url.slice(url.indexOf(",") + 1);
    if (format === "svg") {
      return decodeURIComponent(content);
    }
    return Data.decoded(content);
  }

  /** A line per operating point of the plot: means, half widths of intervals, fronts. */
  function numbers(panel) {
    const { x, y } = panel.view;
    const lines = [
      ["dataset", "model", "method", "point", "runs", `${x.column}_mean`, `${x.column}_half_width`,
       `${y.column}_mean`, `${y.column}_half_width`, "own_front", "front"],
    ];
    const { dataset, model } = Data.tasks[panel.task];
    const unit = ({ factor }, value) => Number((value / (factor ?? 1)).toPrecision(12));
    for (const point of panel.points) {
      lines.push([
        dataset, model, point.method, point.point, point.runs.filter((i) => Data.ok[i]).length,
        unit(x, point.x.mean), unit(x, point.x.halfWidth), unit(y, point.y.mean),
        unit(y, point.y.halfWidth), point.own, point.overall,
      ]);
    }
    return Files.csv(lines);
  }

  async function save(panel, format) {
    const types = { svg: "image/svg+xml", png: "image/png", csv: "text/csv" };
    const content = format === "csv" ? numbers(panel) : await picture(panel, format);
    Files.save(fileName(panel, format), content, types[format]);
  }

  return { save };
})();
