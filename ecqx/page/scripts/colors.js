"use strict";
// Colors of the style sheet, and those of methods on it.

const Colors = (() => {
  /** A color of the style sheet. */
  const token = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

  function luminance(rgb) {
    const [r, g, b] = rgb.map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  }

  /** A method's color; on a dark page mixed with white until it stands out 3.5 to 1. */
  function shown(hex) {
    const paper = channels(token("paper"));
    let rgb = channels(hex);
    if (luminance(paper) > 0.2) {
      return hex;
    }
    for (let step = 0; step < 20 && contrast(rgb, paper) < 3.5; step++) {
      rgb = rgb.map((value) => value + (255 - value) * 0.1);
    }
    return `#${rgb.map((value) => Math.round(value).toString(16).padStart(2, "0")).join("")}`;
  }

  return { token, shown };
})();
