// Mathematics in text: found while markdown is read, kept away from it, and set once the library is there.
import { loadMaths } from "./chunks.ts";

interface Formula {
  tex: string;
  display: boolean;
}

const INLINE: [RegExp, boolean][] = [
  [/^\$\$([^$]{1,5000}?)\$\$/, true],
  [/^\\\[([\s\S]{1,5000}?)\\\]/, true],
  [/^\\\(([\s\S]{1,5000}?)\\\)/, false],
  [/^\$(?![\s$])((?:\\[^\n]|[^$`\\\n]|\n(?!\s*\n)){1,5000}?)(?<!\s)\$(?!\d)/, false],
];
const BLOCK =
  /^(?:\$\$([^$]{1,5000}?)\$\$|(\\begin\{(equation|align|gather|multline|eqnarray|alignat)\*?\}[\s\S]{1,5000}?\\end\{\3\*?\}))[ \t]*(?:\n+|$)/;
const PLACE = /\uE000(\d+)\uE001/;

let found: Formula[] = [];

const token = (raw: string, tex: string, display: boolean) => ({ type: "maths", raw, tex, display });

/** An extension of marked, which leaves a place for each formula. */
export const mathsExtension = {
  extensions: [
    {
      name: "maths",
      level: "block" as const,
      start: (text: string) => /^(?:\$\$|\\begin\{)/m.exec(text)?.index,
      tokenizer: (text: string) => {
        const match = BLOCK.exec(text);
        return match ? token(match[0], match[1] ?? match[2]!, true) : undefined;
      },
      renderer: (one: unknown) => place(one as Formula),
    },
    {
      name: "mathsWithin",
      level: "inline" as const,
      start: (text: string) => /\$|\\[[(]/.exec(text)?.index,
      tokenizer: (text: string) => {
        for (const [pattern, display] of INLINE) {
          const match = pattern.exec(text);
          if (match) return { ...token(match[0], match[1]!, display), type: "mathsWithin" };
        }
        return undefined;
      },
      renderer: (one: unknown) => place(one as Formula),
    },
  ],
};

function place({ tex, display }: Formula): string {
  found.push({ tex, display });
  return `\uE000${found.length - 1}\uE001`;
}

/** Read a text with `parse`, and put its formulas into what that gives. */
export function withMaths(source: string, parse: (text: string) => DocumentFragment): DocumentFragment {
  found = [];
  const fragment = parse(source.replace(/[\uE000\uE001]/g, ""));
  const formulas = found;
  if (formulas.length === 0) return fragment;
  const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT);
  const texts: Text[] = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode())
    if (PLACE.test(node.nodeValue!)) texts.push(node as Text);
  const spots: [HTMLElement, Formula][] = [];
  for (const text of texts) {
    const parts = text.nodeValue!.split(PLACE).map((part, i) => {
      const formula = i % 2 ? formulas[Number(part)] : undefined;
      if (!formula) return part;
      const spot = document.createElement("span");
      spot.className = formula.display ? "maths display" : "maths";
      spot.textContent = formula.tex;
      spots.push([spot, formula]);
      return spot;
    });
    text.replaceWith(...parts);
  }
  void loadMaths().then(
    (set) => {
      for (const [spot, { tex, display }] of spots) set(tex, spot, display);
    },
    () => undefined, // the source stays
  );
  return fragment;
}

/** Whether a text is a formula as a whole, as what `Math()` and SymPy show. */
export const isFormula = (latex: string): boolean => /^\s*(?:\$|\\[[(]|\\begin\{)/.test(latex);
