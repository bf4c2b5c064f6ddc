// Tables in what a task left: lists of objects, columns, comma-separated values.
export interface Table {
  head: string[];
  body: unknown[][];
}

/** Read a table: a list of objects, a frictionless data resource, or columns of equal length. */
export function table(value: unknown): Table | undefined {
  if (value === null || typeof value !== "object") return undefined;
  const data = "data" in value && Array.isArray(value.data) ? value.data : value;
  if (Array.isArray(data) && data.length > 0 && data.every(isFlat)) {
    const head = [...new Set(data.flatMap((row) => Object.keys(row)))];
    return { head, body: data.map((row) => head.map((name) => row[name])) };
  }
  if (Array.isArray(value)) return undefined;
  const columns = Object.entries(value);
  const length = Array.isArray(columns[0]?.[1]) ? columns[0][1].length : -1;
  const even =
    length > 0 &&
    columns.every(
      ([, list]) =>
        Array.isArray(list) &&
        list.length === length &&
        list.every((item) => item === null || typeof item !== "object"),
    );
  if (!even) return undefined;
  return {
    head: columns.map(([name]) => name),
    body: Array.from({ length }, (_, i) => columns.map(([, list]) => (list as unknown[])[i])),
  };
}

const isFlat = (row: unknown): row is Record<string, unknown> =>
  row !== null &&
  typeof row === "object" &&
  !Array.isArray(row) &&
  Object.values(row).every((item) => item === null || typeof item !== "object");

/** Read comma-separated values with quotes; the first line names the columns. */
export function parseCsv(text: string, separator = ","): Table {
  const rows: string[][] = [[]];
  let cell = "";
  let quoted = false;
  const end = () => {
    rows.at(-1)!.push(cell);
    cell = "";
  };
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === separator) end();
    else if (char === "\n") {
      end();
      rows.push([]);
    } else if (char !== "\r") cell += char;
  }
  end();
  const [head = [], ...body] = rows.filter((row) => row.length > 1 || row[0]);
  return {
    head,
    body: body.map((row) =>
      row.map((item) => (item !== "" && Number.isFinite(Number(item)) ? Number(item) : item)),
    ),
  };
}

/** Read JSON as Python writes it: with NaN and infinities, which become their names. */
export function parseJson(text: string): unknown {
  return JSON.parse(
    text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (part) => (part[0] === '"' ? part : `"${part}"`)),
  );
}
