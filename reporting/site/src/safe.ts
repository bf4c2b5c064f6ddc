// Makes hostile HTML harmless: no script, style, form, frame, name, or address of a picture is left.
import { isHarmless } from "./addresses.ts";
import { mathsExtension, withMaths } from "./maths.ts";
import { texts } from "./texts.ts";
import type { Texts } from "./texts_bundle.ts";

const TAGS =
  "a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var";
const ATTRIBUTES = "align colspan href rowspan scope start title";
const NEEDS_FRAME =
  /<\s*(?:script|iframe|canvas|form|input|video|audio|object|embed|style|svg|button|select)\b|\son\w+\s*=/i;

let made: ReturnType<Texts["createDOMPurify"]> | undefined;

function purifier(): ReturnType<Texts["createDOMPurify"]> {
  if (made) return made;
  made = texts().createDOMPurify(window);
  made.addHook("afterSanitizeAttributes", (node) => {
    if (node.tagName === "IMG" && !PICTURE.test(node.getAttribute("src") ?? "")) {
      node.replaceWith(`[picture: ${node.getAttribute("alt") || node.getAttribute("src") || "without a name"}]`);
      return;
    }
    const address = node.getAttribute("href");
    if (address === null) return;
    if (node.tagName !== "A" || !isHarmless(address)) return node.removeAttribute("href");
    node.setAttribute("rel", "noopener noreferrer");
    node.setAttribute("target", "_blank");
  });
  return made;
}

export function sanitized(html: string, withPictures = false): DocumentFragment {
  return purifier().sanitize(withoutStyles(html), {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: [...TAGS.split(" "), ...(withPictures ? ["img"] : [])],
    ALLOWED_ATTR: [...ATTRIBUTES.split(" "), ...(withPictures ? ["alt", "src"] : [])],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    FORBID_CONTENTS: ["script", "style", "title", "textarea", "svg", "math", "template", "noscript"],
  });
}

/**
 * Drop styles, so that the browser does not complain about them: tables of pandas bring some.
 *
 * A block without an end goes on to the end of the text, as in a browser, and so the time is linear.
 */
export function withoutStyles(html: string): string {
  return html
    .replace(/<style\b[\s\S]*?(?:<\/style\s*>|$)/gi, "")
    .replace(/<[a-z][^<>]*>/gi, (tag) => tag.replace(/\sstyle=(?:"[^"]*"|'[^']*')/gi, ""));
}

let reader: { parse(text: string, options: { async: false; gfm: true }): string } | undefined;

function marked(): NonNullable<typeof reader> {
  reader ??= new (texts().Marked)(mathsExtension, {
    renderer: {
      checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
      image: ({ href, text }) =>
        PICTURE.test(href) ? `<img src="${href}" alt="${escaped(text)}">` : escaped(`[picture: ${text || href}]`),
    },
  });
  return reader;
}
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;
const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);

/** Markdown of a notebook. Its headings start one level further down, below that of the page. */
export function markdown(source: string): DocumentFragment {
  const fragment = withMaths(source, (text) => sanitized(marked().parse(text, { async: false, gfm: true }), true));
  for (const heading of fragment.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const level = document.createElement(`h${Math.min(6, Number(heading.tagName[1]) + 1)}`);
    level.append(...heading.childNodes);
    heading.replaceWith(level);
  }
  return fragment;
}

/** Whether a page of a notebook is more than its text, so that it is worth a frame of its own. */
export const needsFrame = (html: string): boolean =>
  NEEDS_FRAME.test(html.replace(/<style scoped>[\s\S]*?<\/style\s*>/gi, ""));

/** Drop `<style>` blocks and scripts from what is shown in the page itself. */
export const isTable = (html: string): boolean => /<table\b/i.test(html) && !/<script\b/i.test(html);
