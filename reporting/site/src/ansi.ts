// Terminal colours as classes; every other control sequence is dropped.
export interface Piece {
  text: string;
  classes: string;
}

const SEQUENCE =
  /\x1b(?:\[([0-9;:]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let colour = "";
  let bold = false;
  let last = 0;
  const add = (end: number) => {
    if (end > last)
      found.push({ text: text.slice(last, end), classes: [colour, bold ? "bold" : ""].filter(Boolean).join(" ") });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(match.index);
    last = match.index + match[0].length;
    if (match[2] !== "m") continue;
    const codes = (match[1] || "0").split(/[;:]/).map(Number);
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i]!;
      if (code === 0) [colour, bold] = ["", false];
      else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) colour = "";
      else if (code >= 30 && code <= 37) colour = `ansi-${code - 30}`;
      else if (code >= 90 && code <= 97) colour = `ansi-${code - 90}`;
      else if (code === 38 && codes[i + 1] === 5) {
        const wanted = codes[i + 2] ?? 0;
        colour = wanted < 16 ? `ansi-${wanted % 8}` : cube(wanted);
        i += 2;
      } else if ((code === 38 || code === 48) && codes[i + 1] === 2) i += 4;
      else if (code === 48) i += 2;
    }
  }
  add(text.length);
  return found;
}

/** A text without its control sequences, for where one line is shown. */
export const plain = (text: string): string => text.replace(SEQUENCE, "");

/** The nearest of eight names for one of 256 colours, so that both themes stay readable. */
function cube(code: number): string {
  if (code >= 232) return "ansi-0";
  const [r, g, b] = [Math.floor((code - 16) / 36), Math.floor(((code - 16) % 36) / 6), (code - 16) % 6];
  const most = Math.max(r, g, b);
  if (most === 0) return "ansi-0";
  return `ansi-${(r! * 2 > most ? 1 : 0) + (g! * 2 > most ? 2 : 0) + (b! * 2 > most ? 4 : 0)}`;
}
