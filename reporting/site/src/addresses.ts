// Which addresses the site follows. What it shows comes from notebooks, and from bundles that anybody may have written.
import type { Options } from "preact";

const ADDRESSES = new Set(
  "action background cite data formaction href ping poster src xlinkhref xlink:href".split(" "),
);

/** Whether following an address runs nothing: a page of the web or of the site, mail, or a picture. */
export function isHarmless(address: string, element = "a"): boolean {
  try {
    const { protocol, pathname } = new URL(address, "https://site.invalid/");
    if (protocol === "data:") return element === "img" && pathname.startsWith("image/");
    return ["https:", "http:", "mailto:"].includes(protocol);
  } catch {
    return false;
  }
}

/** Whether an address leads out of the site, to a page of the web. */
export const isWeb = (address: string): boolean => /^https?:\/\//i.test(address) && isHarmless(address);

/** Drop harmful addresses, and HTML, from every element, whichever code draws it. */
export function guard(options: Options): void {
  const before = options.vnode;
  options.vnode = (vnode) => {
    if (typeof vnode.type === "string") {
      const properties = vnode.props as Record<string, unknown>;
      for (const [name, value] of Object.entries(properties)) {
        const isHtml = name === "dangerouslySetInnerHTML" || name.toLowerCase() === "srcdoc";
        const isAddress = ADDRESSES.has(name.toLowerCase()) && value !== undefined;
        if (isHtml || (isAddress && !isHarmless(String(value), vnode.type))) delete properties[name];
      }
    }
    before?.(vnode);
  };
}

/** The page of a pull request, where the repository's host is known to have such pages. */
export function changeAddress(repository: string | null, change: string, job: string | null): string | undefined {
  if (!repository || !isWeb(repository)) return undefined;
  const { host, origin } = new URL(repository);
  const isGitHub = host === "github.com" || (job?.startsWith(`${origin}/`) && job.includes("/actions/runs/"));
  return isGitHub ? `${repository}/pull/${encodeURIComponent(change)}` : undefined;
}
