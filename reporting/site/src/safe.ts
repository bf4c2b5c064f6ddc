// Makes hostile HTML harmless: no script, style, form, frame, name, or address of a picture is left.
import createDOMPurify from "dompurify";
import { marked } from "marked";

const TAGS =
  "a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var";
const ATTRIBUTES = "align colspan href rowspan scope start title";
const NEEDS_FRAME = /<\s*(?:script|iframe|canvas|form|input|video|audio|object|embed|style|svg|button|select)\b|\son\w+\s*=/i;

const purify = createDOMPurify(window);
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && node.hasAttribute("href")) {
    node.setAttribute("rel", "noopener noreferrer");
    node.setAttribute("target", "_blank");
  }
});

export function sanitized(html: string): DocumentFragment {
  // styles go first, so that the browser has nothing to say about them: tables of pandas bring some
  return purify.sanitize(html.replace(/<style\b[\s\S]*?<\/style\s*>/gi, "").replace(/\sstyle=(?:"[^"]*"|'[^']*')/gi, ""), {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: TAGS.split(" "),
    ALLOWED_ATTR: ATTRIBUTES.split(" "),
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    FORBID_CONTENTS: ["script", "style", "title", "textarea", "svg", "math", "template", "noscript"],
  });
}

/** Markdown of a notebook. Its headings start one level further down, below that of the page. */
export function markdown(source: string): DocumentFragment {
  const fragment = sanitized(marked.parse(source, { async: false, gfm: true }));
  for (const heading of fragment.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const level = document.createElement(`h${Math.min(6, Number(heading.tagName[1]) + 1)}`);
    level.append(...heading.childNodes);
    heading.replaceWith(level);
  }
  return fragment;
}

/** Whether a page of a notebook is more than its text, so that it is worth a frame of its own. */
export const needsFrame = (html: string): boolean => NEEDS_FRAME.test(html);

/** Drop `<style>` blocks and scripts from what is shown in the page itself. */
export const isTable = (html: string): boolean => /<table\b/i.test(html) && !/<script\b/i.test(html);
