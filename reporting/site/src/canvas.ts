// A canvas at the resolution of the screen, with the colours of the stylesheet.
const known = new Map<string, string>();

/** An expression of the stylesheet as a colour that a canvas takes; it is remembered for each theme. */
export function resolved(element: Element, expression: string): string {
  const key = `${getComputedStyle(document.body).getPropertyValue("color")} ${expression}`;
  let found = known.get(key);
  if (found === undefined) {
    const probe = document.createElement("span");
    probe.style.color = expression;
    element.parentElement!.append(probe);
    found = getComputedStyle(probe).color;
    known.set(key, found);
    probe.remove();
  }
  return found;
}

export function cleared(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  return context;
}

/** Call back when the reader, or the system, changes the theme. */
export function onTheme(changed: () => void): () => void {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  query.addEventListener("change", changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["style"] });
  return () => {
    query.removeEventListener("change", changed);
    observer.disconnect();
  };
}
