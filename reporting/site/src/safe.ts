// Makes hostile HTML harmless: no script, style, form, frame, name, or address of a picture is left.
import { isHarmless } from "./addresses.ts";
import { mathsExtension, withMaths } from "./maths.ts";
import { texts } from "./texts.ts";
import type { Texts } from "./texts_bundle.ts";

const TAGS =
  "a abbr b blockquote br caption cite code col colgroup dd del details dfn div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var";
/** Attributes whose values are no addresses: others have to look like one. */
const PLAIN = "align alt colspan height rowspan scope start title width".split(" ");
const NEEDS_FRAME =
  /<\s*(?:script|iframe|canvas|form|input|video|audio|object|embed|style|svg|button|select)\b|\son\w+\s*=/i;

let made: ReturnType<Texts["createDOMPurify"]> | undefined;
/** Where the pictures of the text are that is being read, by the names that it gives them. */
let known: Record<string, string> = {};

function purifier(): ReturnType<Texts["createDOMPurify"]> {
  if (made) return made;
  made = texts().createDOMPurify(window);
  made.addHook("beforeSanitizeAttributes", (node) => {
    const name = node.tagName === "IMG" ? node.getAttribute("src") : null;
    if (name) node.setAttribute("src", addressOf(name));
  });
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
    ALLOWED_ATTR: [...PLAIN, "href", ...(withPictures ? ["src"] : [])],
    ADD_URI_SAFE_ATTR: PLAIN,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|blobs\/[0-9a-f]{2}\/[0-9a-f]{64}\.(?:png|jpg|gif|webp)$)/i,
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
        PICTURE.test(addressOf(href))
          ? `<img src="${addressOf(href)}" alt="${escaped(text)}">`
          : escaped(`[picture: ${text || href}]`),
    },
  });
  return reader;
}
const PICTURE =
  /^(?:data:image\/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]+|blobs\/[0-9a-f]{2}\/[0-9a-f]{64}\.(?:png|jpg|gif|webp))$/;

/** Where a picture is that a text names, or the name itself. */
function addressOf(name: string): string {
  let plain = name;
  try {
    plain = decodeURIComponent(name);
  } catch {} // a percent sign that encodes nothing
  return Object.hasOwn(known, plain) ? known[plain]! : name;
}
const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);

/** Markdown of a notebook. Its headings start one level further down, below that of the page. */
export function markdown(source: string, pictures: Record<string, string> = {}): DocumentFragment {
  known = pictures;
  const fragment = withMaths(source, (text) => sanitized(marked().parse(text, { async: false, gfm: true }), true));
  for (const heading of fragment.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
    const level = document.createElement(`h${Math.min(6, Number(heading.tagName[1]) + 1)}`);
    level.append(...heading.childNodes);
    heading.replaceWith(level);
  }
  for (const item of fragment.querySelectorAll("li"))
    if (/^\s*[☑☐] /.test(item.textContent!)) item.className = "todo";
  return fragment;
}

/** Whether a page of a notebook is more than its text, so that it is worth a frame of its own. */
export const needsFrame = (html: string): boolean => NEEDS_FRAME.test(html.replace(OF_FRAMES, ""));

/** The styles that pandas and polars give each of their tables. */
const OF_FRAMES =
  /<style scoped>[\s\S]*?<\/style\s*>|<style>\s*(?:\.dataframe[^{}<]{1,200}\{[^{}<]{0,200}\}\s*){1,9}<\/style\s*>/gi;

/** Drop `<style>` blocks and scripts from what is shown in the page itself. */
export const isTable = (html: string): boolean => /<table\b/i.test(html) && !/<script\b/i.test(html);
