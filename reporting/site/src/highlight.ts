// Colours code as text nodes in spans; only a few languages are worth their size.
import hljs from "highlight.js/lib/core";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";

hljs.registerLanguage("python", python);
hljs.registerLanguage("json", json);

const LONGEST = 50_000;

export interface Coloured {
  text: string;
  classes: string;
}

/** Split code into pieces with classes. highlight.js gives HTML in which all text is escaped: it is read, not inserted. */
export function coloured(code: string, language: "python" | "json" = "python"): Coloured[] {
  if (code.length > LONGEST) return [{ text: code, classes: "" }];
  const html = hljs.highlight(code, { language, ignoreIllegals: true }).value;
  const document = new DOMParser().parseFromString(html, "text/html");
  const found: Coloured[] = [];
  const walk = (node: Node, classes: string) => {
    for (const child of node.childNodes) {
      if (child instanceof Element) walk(child, `${classes} ${child.className}`.trim());
      else found.push({ text: child.textContent ?? "", classes });
    }
  };
  walk(document.body, "");
  return found;
}
