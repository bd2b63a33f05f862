"use strict";
// Files that a reader takes away.

const Files = (() => {
  function save(name, content, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function quoted(value) {
    if (value === null || value === undefined || Number.isNaN(value)) {
      return "";
    }
    const text = String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** Lines of values as CSV. */
  const csv = (lines) => lines.map((line) => line.map(quoted).join(",")).join("\n") + "\n";

  return { save, csv };
})();
