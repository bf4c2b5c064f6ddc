// Terminal colours as classes and styles; every other control sequence is dropped.
export interface Piece {
  text: string;
  classes: string;
  /** Colours that are not among the eight that both themes have. */
  style?: { color?: string; background?: string };
}

/** One of eight by its number, or as CSS has it. */
type Colour = number | string;
interface State {
  flags: Set<string>;
  front?: Colour | undefined;
  back?: Colour | undefined;
}

const SEQUENCE =
  /\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;

const ON: Record<number, string> = {
  1: "bold",
  2: "faint",
  3: "italic",
  4: "underline",
  7: "inverse",
  9: "struck",
};
const OFF: Record<number, string[]> = {
  22: ["bold", "faint"],
  23: ["italic"],
  24: ["underline"],
  27: ["inverse"],
  29: ["struck"],
};

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let state: State = { flags: new Set() };
  let last = 0;
  const add = (end: number) => {
    if (end > last) found.push({ text: text.slice(last, end), ...shown(state) });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(match.index);
    last = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").replaceAll(":2::", ":2:").split(/[;:]/).map(Number);
    while (codes.length) {
      const code = codes.shift()!;
      if (code === 0) state = { flags: new Set() };
      else if (ON[code]) state.flags.add(ON[code]);
      else if (OFF[code]) for (const flag of OFF[code]) state.flags.delete(flag);
      else if (code === 39) state.front = undefined;
      else if (code === 49) state.back = undefined;
      else if (code === 38) state.front = extended(codes) ?? state.front;
      else if (code === 48) state.back = extended(codes) ?? state.back;
      else {
        const place = code >= 90 ? code - 60 : code;
        if (place >= 30 && place <= 37) state.front = place - 30;
        else if (place >= 40 && place <= 47) state.back = place - 40;
      }
    }
  }
  add(text.length);
  return found;
}

function shown({ flags, front, back }: State): Omit<Piece, "text"> {
  const classes = [...flags];
  const style: NonNullable<Piece["style"]> = {};
  if (typeof front === "number") classes.push(`ansi-${front}`);
  else if (front) style.color = back === undefined ? legible(front) : front;
  if (typeof back === "number") classes.push(`ansi-on-${back}`);
  else if (back) {
    style.background = back;
    if (front === undefined) style.color = `oklch(from ${back} clamp(0, (0.65 - l) * 1000, 1) 0 0)`;
  }
  return { classes: classes.join(" "), ...(Object.keys(style).length ? { style } : {}) };
}

/** A colour with its hue, dark enough for the light theme and light enough for the dark one. */
const legible = (colour: string): string =>
  `light-dark(oklch(from ${colour} min(l, 0.54) c h), oklch(from ${colour} max(l, 0.7) c h))`;

/** Take what follows 38 or 48: one of 256 colours, or three bytes. */
function extended(codes: number[]): Colour | undefined {
  const kind = codes.shift();
  if (kind === 2) return rgb(codes.splice(0, 3));
  if (kind !== 5) return undefined;
  const code = Math.min(255, codes.shift() ?? 0);
  if (code < 16) return code % 8;
  if (code >= 232) return rgb(Array(3).fill(8 + 10 * (code - 232)));
  const place = code - 16;
  return rgb([Math.floor(place / 36), Math.floor(place / 6) % 6, place % 6].map((part) => part && 55 + 40 * part));
}

const rgb = (parts: number[]): string => `rgb(${[0, 1, 2].map((i) => Math.min(255, parts[i] ?? 0)).join(" ")})`;

/** A text without its control sequences, for where one line is shown. */
export const plain = (text: string): string => text.replace(SEQUENCE, "");
