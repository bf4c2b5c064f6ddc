import "../src/texts_bundle.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { common, similarity } from "../src/align.ts";
import { pieces } from "../src/ansi.ts";
import { age, ago, bytes, delta, even, number, percent, plural, seconds, time, value } from "../src/format.ts";
import { coloured } from "../src/highlight.ts";
import { isTable, needsFrame, withoutStyles } from "../src/safe.ts";
import { parseCsv, table } from "../src/tables.ts";

test("durations get coarser as they grow", () => {
  const given = [null, undefined, 0, 0.004, 1.234, 12.34, 61, 3599.6, 3661];
  const expected = ["", "", "0.00 s", "<0.01 s", "1.23 s", "12.3 s", "1 min 01 s", "1 h 00 min", "1 h 01 min"];
  assert.deepEqual(given.map(seconds), expected);
  assert.deepEqual([-5, 1999, 61_000].map(age), ["0 s", "1 s", "1 min 01 s"]);
});

test("numbers keep six digits, and the very large and small an exponent", () => {
  const given = [12, 1234567, 0.1 + 0.2, 1e7 + 0.5, 0.00001, Number.NaN, Number.NEGATIVE_INFINITY];
  assert.deepEqual(given.map(number), ["12", "1 234 567", "0.3", "1.000e+7", "1.000e-5", "NaN", "-Infinity"]);
  assert.deepEqual([0.5, 12.5, 3, 1234.5].map(even), ["0.50000", "12.500", "3", "1234.5"]);
  assert.deepEqual([999, 1000, 2.5e6, 3e9].map(bytes), ["999 B", "1.0 kB", "2.5 MB", "3.00 GB"]);
});

test("changes have a sign, and no share of nothing", () => {
  assert.deepEqual([0.5, -0.5, 0].map(delta), ["+0.5", "−0.5", "+0"]);
  assert.equal(percent(2, 1), "−50 %");
  assert.equal(percent(-2, -1), "+50 %");
  assert.deepEqual([percent(0, 1), percent(1, Number.NaN)], ["", ""]);
  const little = [1, 1.1, 1.0004, 0.999996, 1 + 1e-9].map((to) => percent(1, to));
  assert.deepEqual(little, ["+0 %", "+10 %", "+0.04 %", "−<0.001 %", "+<0.001 %"]);
});

test("values, times and counts are written for people", () => {
  assert.deepEqual([null, "x", 2, [1], { a: 1 }].map(value), ["", "x", "2", "[1]", '{"a": 1}']);
  assert.equal(time(new Date(2026, 1, 3, 4, 5).getTime()), "2026-02-03 04:05");
  const now = 1e9;
  assert.deepEqual(
    [now + 5, now - 60e3, now - 600e3, now - 7200e3, now - 4 * 86400e3].map((then) => ago(then, now)),
    ["just now", "just now", "10 min ago", "2 h ago", "4 days ago"],
  );
  assert.deepEqual(
    [plural(1, "run"), plural(2, "run"), plural(0, "entry", "entries")],
    ["1 run", "2 runs", "0 entries"],
  );
});

test("coloured code is the code, whatever it contains", () => {
  for (const code of [
    "x = 1 < 2 & 'a' # \"q\"",
    "<script>alert('&lt;')</script>",
    "def f(a): return f'{a!r}'\n",
    "",
  ]) {
    assert.equal(
      coloured(code)
        .map((piece) => piece.text)
        .join(""),
      code,
    );
  }
  assert.deepEqual(coloured("def f")[0], { text: "def", classes: "hljs-keyword" });
  assert.deepEqual(
    coloured('{"a": 1}', "json").find((piece) => piece.text === "1"),
    { text: "1", classes: "hljs-number" },
  );
});

test("a long code keeps its colour off", () => {
  const code = "x = 1\n".repeat(10_000);
  assert.deepEqual(coloured(code), [{ text: code, classes: "" }]);
});

test("terminals have eight colours of the theme, and as many others as they like", () => {
  const piece = (code: string) => pieces(`\x1b[${code}mx`)[0]!;
  assert.deepEqual(
    ["31", "94", "38;5;9", "1;3;4;32", "44", "107", "31;0", "1;22", "4;24"].map((code) => piece(code).classes),
    ["ansi-1", "ansi-4", "ansi-1", "bold italic underline ansi-2", "ansi-on-4", "ansi-on-7", "", "", ""],
  );
  assert.deepEqual(piece("38;5;196;48;5;240").style, { background: "rgb(88 88 88)", color: "rgb(255 0 0)" });
  assert.deepEqual(piece("48;2;1;31;999;31"), {
    text: "x",
    classes: "ansi-1",
    style: { background: "rgb(1 31 255)" },
  });
  assert.match(piece("38:2:250:220:40").style!.color!, /^light-dark\(oklch\(from rgb\(250 220 40\) min/);
  assert.match(piece("48;5;21").style!.color!, /^oklch\(from rgb\(0 0 255\) /);
  assert.deepEqual(piece("38;5"), { text: "x", classes: "ansi-0" });
  assert.deepEqual(piece("38;7;1"), { text: "x", classes: "bold" });
});

test("what a terminal would obey is dropped", () => {
  const given = "\x1b]52;c;cm0=\x07a\x1b]8;;javascript:x\x1b\\b\x08\x00\x7f\x1b[2J\x1bM";
  assert.deepEqual(
    pieces(given)
      .map((piece) => piece.text)
      .join(""),
    "ab",
  );
});

test("a page that does more than its text needs a frame", () => {
  for (const html of ["<script>", "< canvas>", "<p onclick=x>", "<SVG onload=x>", "<input>"])
    assert.ok(needsFrame(html), html);
  for (const html of ["<p>on time = now</p>", "<table><tr><td>x</table>", "<b>a</b>"])
    assert.ok(!needsFrame(html), html);
  assert.deepEqual(["<table>", "<table><script>", "<p>"].map(isTable), [true, false, false]);
});

test("a table of pandas or polars needs none", () => {
  const polars =
    "<div><style>\n.dataframe > thead > tr,\n.dataframe > tbody > tr {\n  text-align: right;\n}\n</style>";
  assert.equal(needsFrame(`${polars}<small>shape: (1, 1)</small><table class="dataframe"></table></div>`), false);
  assert.equal(needsFrame("<style scoped>.dataframe tbody tr th {}</style><table></table>"), false);
  assert.equal(needsFrame("<style>.dataframe {} #T_1 { color: red }</style><table></table>"), true);
  assert.equal(needsFrame("<style>.dataframe {</style><table></table><script></script>"), true);
});

test("text that looks like a tag stays", () => {
  const text = '<p>Use &lt;b style="color:red"&gt;</p>';
  assert.equal(withoutStyles(text), text);
});

test("styles are dropped, and many that do not end take no longer", () => {
  assert.equal(withoutStyles('<style a>x</style >a<b style="c">d</b><STYLE>e'), "a<b>d</b>");
  assert.equal(withoutStyles("<style".repeat(1_000_000)), "");
});

test("tables are lists of objects, data resources, or columns of one length", () => {
  assert.deepEqual(table([{ a: 1 }, { b: null }]), {
    head: ["a", "b"],
    body: [
      [1, undefined],
      [undefined, null],
    ],
  });
  assert.deepEqual(table({ data: [{ a: 1 }] }), { head: ["a"], body: [[1]] });
  assert.deepEqual(table({ a: [1, 2], b: ["x", "y"] }), {
    head: ["a", "b"],
    body: [
      [1, "x"],
      [2, "y"],
    ],
  });
  for (const other of [null, 1, [], [1], [{ a: {} }], { a: [1], b: [] }, { a: 1 }, { a: [{}] }]) {
    assert.equal(table(other), undefined, JSON.stringify(other));
  }
});

test("comma-separated values may be separated by something else, and end anywhere", () => {
  assert.deepEqual(parseCsv("a\tb\n1\tx", "\t"), { head: ["a", "b"], body: [[1, "x"]] });
  assert.deepEqual(parseCsv('a\n"open'), { head: ["a"], body: [["open"]] });
  assert.deepEqual(parseCsv(""), { head: [], body: [] });
});

test("likeness counts lines, of one line words", () => {
  assert.equal(similarity("a\nb\n", "a\nc\n"), 0.5);
  assert.equal(similarity("x = 1", "x = 1"), 1);
  assert.equal(similarity("", ""), 1);
  assert.deepEqual(common("abcbd".split(""), "acd".split("")), [
    [0, 0],
    [2, 1],
    [4, 2],
  ]);
});
