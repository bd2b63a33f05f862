"use strict";
// Where the results come from: what methods are, versions, configuration, what to read.

const About = (() => {
  const place = document.getElementById("about");
  const { about } = Data;

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text ?? "";
    return made;
  }

  function folded(title, ...content) {
    const made = document.createElement("details");
    made.append(element("summary", title), ...content);
    return made;
  }

  /** A list of terms and what they are. */
  function described(pairs) {
    const list = document.createElement("dl");
    list.className = "described";
    for (const [term, text] of pairs) {
      list.append(element("dt", term), element("dd", text));
    }
    return list;
  }

  function origin({ versions, git, device, runs }) {
    const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
    const commit = git ? `commit ${git}` : "no commit known";
    return element("li", `${runs} runs: ${commit}, ${device}, ${packages.join(", ")}`);
  }

  function methods() {
    const names = Data.methods.map(({ name }) => name);
    const own = Object.entries(about.methods).filter(([method]) =>
      names.some((name) => name.split(", ")[0] === method),
    );
    return own.map(([method, text]) => [Data.methodLabel(method) ?? method, text]);
  }

  function build() {
    const known = methods();
    if (known.length) {
      place.append(folded("What each method is", described(known)));
    }
    if (about.origins.length) {
      const list = document.createElement("ul");
      list.append(...about.origins.map(origin));
      const version = element(
        "p",
        `Benchmark version ${about.benchmark}, tables version ${about.schema}.`,
      );
      place.append(folded("Versions, commit, devices", version, list));
    }
    about.configurations.forEach((text, k) => {
      const number = about.configurations.length > 1 ? ` ${k + 1}` : "";
      const save = element("button", "Download");
      save.type = "button";
      save.setAttribute("aria-label", `Download configuration${number}`);
      save.addEventListener("click", () => Files.save("config.yaml", text, "text/yaml"));
      const content = element("pre", text);
      content.tabIndex = 0;
      place.append(folded(`Configuration${number}`, save, content));
    });
    const links = element("p", "To read: ");
    about.links.forEach(([text, address], k) => {
      const link = element("a", text);
      link.href = address;
      links.append(k ? ", " : "", link);
    });
    links.append(".");
    place.append(links);
  }

  return { build };
})();
