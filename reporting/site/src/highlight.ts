// Colours code as text nodes in spans; only a few languages are worth their size.
import { texts } from "./texts.ts";

const LONGEST = 50_000;

export interface Coloured {
  text: string;
  classes: string;
}

const PART = /<span class="([^"]*)">|<(\/)span>|[^<]+/g;
const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

/** Split code into pieces with classes. highlight.js gives spans in which all text is escaped: they are read, not inserted. */
export function coloured(code: string, language: "python" | "json" | "yaml" = "python"): Coloured[] {
  if (code.length > LONGEST) return [{ text: code, classes: "" }];
  const found: Coloured[] = [];
  const within: string[] = [];
  for (const [part, classes, end] of texts()
    .hljs.highlight(code, { language, ignoreIllegals: true })
    .value.matchAll(PART)) {
    if (classes !== undefined) within.push(classes);
    else if (end) within.pop();
    else
      found.push({ text: part.replace(/&([\w#]+);/g, (_, name) => ENTITIES[name]!), classes: within.join(" ") });
  }
  return found;
}
