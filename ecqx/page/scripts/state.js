"use strict";
// What is shown, in the address of the page: an address that is sent shows the same.

const State = (() => {
  const CHOICES = ["y", "x", "subset", "signed"];
  const SWITCHES = ["singles", "intervals"];
  const control = (name) => document.getElementById(name);

  /** What of the address the page understands; the rest is left aside. */
  function parameters() {
    try {
      return new URLSearchParams(location.hash.slice(1));
    } catch {
      return new URLSearchParams();
    }
  }

  const runName = (i) =>
    ["dataset", "model", "method", "point", "seed"].map((name) => Data.column(name)[i]).join("/");

  function runOf(name) {
    for (let i = 0; i < Data.count; i++) {
      if (runName(i) === name) {
        return i;
      }
    }
    return null;
  }

  /** Set controls and filters as the address says; the run that it chooses, or null. */
  function restore() {
    const asked = parameters();
    for (const name of CHOICES) {
      const options = [...control(name).options].filter((option) => !option.disabled);
      if (options.some((option) => option.value === asked.get(name))) {
        control(name).value = asked.get(name);
      }
    }
    for (const name of SWITCHES) {
      if (asked.has(name)) {
        control(name).checked = asked.get(name) !== "no";
      }
    }
    Selection.restore((name) => (asked.has(name) ? asked.getAll(name) : null));
    return asked.has("run") ? runOf(asked.get("run")) : null;
  }

  /** Write what is shown into the address, as far as it is not what the page begins with. */
  function keep(first, chosen) {
    const said = new URLSearchParams();
    for (const name of CHOICES) {
      if (control(name).value !== first[name]) {
        said.set(name, control(name).value);
      }
    }
    for (const name of SWITCHES) {
      if (!control(name).checked) {
        said.set(name, "no");
      }
    }
    for (const [name, values] of Selection.chosen()) {
      values.forEach((value) => said.append(name, value));
    }
    if (chosen !== null) {
      said.set("run", runName(chosen));
    }
    const text = said.toString();
    if (text !== parameters().toString()) {
      history.replaceState(null, "", text ? `#${text}` : location.href.replace(/#.*/, ""));
    }
  }

  /** The choices that the page begins with. */
  const choices = () => Object.fromEntries(CHOICES.map((name) => [name, control(name).value]));

  return { restore, keep, choices };
})();
