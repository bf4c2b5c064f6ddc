// The script of mathematics, which a page loads where it has a formula.
import katex from "katex";

const macros = {};

(window as unknown as { nbdag: Record<string, unknown> }).nbdag.maths = (
  tex: string,
  spot: HTMLElement,
  displayMode: boolean,
) =>
  katex.render(tex, spot, {
    displayMode,
    macros,
    globalGroup: true,
    throwOnError: false,
    strict: "ignore",
    trust: false,
    maxSize: 20,
    maxExpand: 500,
  });
