// The filter language: `metrics.auc > 0.9 and params.lr = 0.1 and branch = main`, with errors that say where.
export type Scalar = string | number | boolean | null;

export type Expression =
  | { op: "and" | "or"; left: Expression; right: Expression }
  | { op: "not"; of: Expression }
  | { op: "compare"; field: Field; by: Comparison; with: Scalar[] };

export type Comparison =
  | "="
  | "!="
  | "<"
  | "<="
  | ">"
  | ">="
  | "~"
  | "!~"
  | "in"
  | "known"
  | "unknown"
  | "begins"
  | "begins not";

/** `name` as it was written: `metrics.auc`; `task` is the text after the `@`. */
export interface Field {
  name: string;
  task: string | undefined;
  at: number;
}

export class FilterError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Token {
  kind: "word" | "text" | "number" | "symbol" | "end";
  text: string;
  at: number;
}

const TOKEN =
  /\s+|(?<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w.:-]))|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<symbol><=|>=|!=|!~|==|[=<>~(),@])|(?<word>(?:`[^`]*`|[^\s"'`<>=!~(),@])+)/giy;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match)
      throw new FilterError(
        /["'`]/.test(text[at]!) ? "this quote is not closed" : `${text[at]} is not understood`,
        at,
      );
    const groups = match.groups!;
    for (const kind of ["number", "text", "symbol", "word"] as const) {
      if (groups[kind] !== undefined) found.push({ kind, text: groups[kind], at });
    }
  }
  found.push({ kind: "end", text: "", at: text.length });
  return found;
}

/** Read a filter; `undefined` for an empty one. Throws `FilterError`. */
export function parseFilter(text: string): Expression | undefined {
  const list = tokens(text);
  let place = 0;
  const peek = () => list[place]!;
  const next = () => list[place++]!;
  const keyword = (word: string) => peek().kind === "word" && peek().text.toLowerCase() === word;

  function either(): Expression {
    let left = both();
    while (keyword("or")) {
      next();
      left = { op: "or", left, right: both() };
    }
    return left;
  }

  function both(): Expression {
    let left = one();
    while (keyword("and")) {
      next();
      left = { op: "and", left, right: one() };
    }
    return left;
  }

  function one(): Expression {
    if (keyword("not")) {
      next();
      return { op: "not", of: one() };
    }
    if (peek().text === "(" && peek().kind === "symbol") {
      const open = next();
      const inside = either();
      if (peek().text !== ")") throw new FilterError("this bracket is not closed", open.at);
      next();
      return inside;
    }
    return comparison();
  }

  function comparison(): Expression {
    const first = next();
    if (first.kind !== "word")
      throw new FilterError(
        first.kind === "end" ? "a condition is missing here" : "a name is expected here",
        first.at,
      );
    const field: Field = { name: first.text.replaceAll("`", ""), task: undefined, at: first.at };
    if (peek().text === "@" && peek().kind === "symbol") {
      next();
      const task = next();
      if (task.kind !== "word" && task.kind !== "text")
        throw new FilterError("a task is expected after @", task.at);
      field.task = task.kind === "text" ? unquote(task.text) : taskName(task);
    }
    const by = next();
    if (by.kind === "symbol" && ["=", "==", "!=", "<", "<=", ">", ">=", "~", "!~"].includes(by.text)) {
      return { op: "compare", field, by: (by.text === "==" ? "=" : by.text) as Comparison, with: [scalar()] };
    }
    const word = by.text.toLowerCase();
    if (by.kind === "word" && word === "in") {
      const open = next();
      if (open.text !== "(") throw new FilterError("`in` needs a list: (a, b)", open.at);
      const values = [scalar()];
      while (peek().text === ",") {
        next();
        values.push(scalar());
      }
      if (peek().text !== ")") throw new FilterError("this bracket is not closed", open.at);
      next();
      return { op: "compare", field, by: "in", with: values };
    }
    if (by.kind === "word" && word === "is") {
      const which = next();
      if (which.text === "known" || which.text === "unknown")
        return { op: "compare", field, by: which.text, with: [] };
      throw new FilterError("`is` needs `known` or `unknown`", which.at);
    }
    throw new FilterError(`after ${field.name} one of = != < <= > >= ~ in is expected`, by.at);
  }

  function taskName(token: Token): string {
    // an instance's name has an equals sign and commas of its own: train[lr=0.1,seed=1]
    let name = token.text.replaceAll("`", "");
    if (name.includes("[")) while (!name.endsWith("]") && peek().kind !== "end") name += next().text;
    return name;
  }

  function scalar(): Scalar {
    const token = next();
    if (token.kind === "number") return Number(token.text);
    if (token.kind === "text") return unquote(token.text);
    if (token.kind === "word")
      return { true: true, false: false, null: null }[token.text] ?? token.text.replaceAll("`", "");
    throw new FilterError("a value is missing here", token.at);
  }

  if (peek().kind === "end") return undefined;
  const expression = either();
  if (peek().kind !== "end") throw new FilterError("`and` or `or` is expected here", peek().at);
  return expression;
}

export function fields(expression: Expression | undefined): Field[] {
  if (!expression) return [];
  switch (expression.op) {
    case "compare":
      return [expression.field];
    case "not":
      return fields(expression.of);
    default:
      return [...fields(expression.left), ...fields(expression.right)];
  }
}

/** `valuesOf` returns all values of a field, several where tasks share a name: one that matches is enough. */
export function matches(expression: Expression, valuesOf: (field: Field) => unknown[]): boolean {
  switch (expression.op) {
    case "and":
      return matches(expression.left, valuesOf) && matches(expression.right, valuesOf);
    case "or":
      return matches(expression.left, valuesOf) || matches(expression.right, valuesOf);
    case "not":
      return !matches(expression.of, valuesOf);
    case "compare": {
      const known = valuesOf(expression.field).filter((value) => value !== null && value !== undefined);
      if (expression.by === "known") return known.length > 0;
      if (expression.by === "unknown") return known.length === 0;
      return known.some((value) => fits(value, expression.by, expression.with));
    }
  }
}

function fits(value: unknown, by: Comparison, operands: Scalar[]): boolean {
  const operand = operands[0]!;
  switch (by) {
    case "=":
      return same(value, operand);
    case "!=":
      return !same(value, operand);
    case "begins":
      return text(value).startsWith(text(operand));
    case "begins not":
      return !text(value).startsWith(text(operand));
    case "in":
      return operands.some((one) => same(value, one));
    case "~":
      return text(value).includes(text(operand));
    case "!~":
      return !text(value).includes(text(operand));
    default: {
      const [a, b] = typeof value === "number" ? [value, unending(operand) ?? NaN] : [text(value), text(operand)];
      return by === "<" ? a < b : by === "<=" ? a <= b : by === ">" ? a > b : a >= b;
    }
  }
}

function same(value: unknown, operand: Scalar): boolean {
  if (typeof value === "number" && typeof operand !== "boolean") {
    const wanted = typeof operand === "string" ? unending(operand) : Number(operand);
    return value === wanted || (Number.isNaN(value) && wanted !== undefined && Number.isNaN(wanted));
  }
  return typeof value === "string" ? value.toLowerCase() === text(operand) : text(value) === text(operand);
}

/** A number, also one that is written in words: `nan`, `inf`, `-Infinity`. */
export function unending(operand: Scalar): number | undefined {
  if (typeof operand !== "string") return Number(operand);
  const [, sign, word] = /^([-+]?)(nan|inf(?:inity)?)$/i.exec(operand) ?? [];
  if (word) return word.toLowerCase() === "nan" ? NaN : sign === "-" ? -Infinity : Infinity;
  return operand.trim() === "" || Number.isNaN(Number(operand)) ? undefined : Number(operand);
}

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value)).toLowerCase();
const unquote = (quoted: string): string => quoted.slice(1, -1).replace(/\\(.)/g, "$1");
