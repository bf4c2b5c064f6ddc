import assert from "node:assert/strict";
import { test } from "node:test";
import { figurePage, heightOf, wantsWeb } from "../src/figures.ts";
import { countsOf, foldedNodes, pathOf as nodePath } from "../src/folding.ts";
import { frameOf, isGeo, pathOf, shapesOf } from "../src/geo.ts";
import { viewLine } from "../src/views.tsx";

test("nothing in a library or a figure ends the script that it is written into", () => {
  const page = figurePage("plotly", 'x = "</script><!--"', { data: [{ name: "</script><script>alert(1)" }] });
  assert.equal(page.match(/<\/script>/g)!.length, 2);
  assert.ok(page.includes('x = "<\\/script><\\!--"'));
  assert.ok(page.includes("\\u003c/script>\\u003cscript>alert(1)"));
});

test("bokeh draws into the elements that its script names", () => {
  const script = 'const render_items = [{"docid":"d","roots":{"p1":"aa-1","p2":"bb-2"},"root_ids":["p1"]}];';
  const page = figurePage("bokeh", "lib", script);
  assert.ok(page.includes('<div id="aa-1"></div><div id="bb-2"></div>'));
  assert.ok(page.includes(script));
});

test("a figure is as tall as it says, within bounds", () => {
  assert.equal(heightOf("plotly", { layout: { height: 300 } }), 320);
  assert.equal(heightOf("plotly", { layout: {} }), 460);
  assert.equal(heightOf("vega", { height: 200 }), 310);
  assert.equal(heightOf("bokeh", '"height":5000'), 1200);
  assert.equal(heightOf("bokeh", ""), 460);
});

test("a figure that loads a part of itself from the web is known", () => {
  const plotly = ["scatter", "heatmap", "treemap", "scattergeo", "choropleth", "scattermapbox", "densitymap"];
  const found = plotly.map((type) => wantsWeb("plotly", { data: [{ type: "bar" }, null, { type }] }));
  assert.deepEqual(found, [false, false, false, true, true, true, true]);
  assert.equal(wantsWeb("plotly", {}), false);
  assert.equal(wantsWeb("vega", { data: { url: "https://example.org/a.json" } }), true);
  assert.equal(wantsWeb("vega", { data: { values: [1] }, title: "https://example.org" }), false);
  assert.equal(wantsWeb("bokeh", '{"url":"https://tiles.example.org/{Z}/{X}/{Y}.png"}'), true);
});

test("a family says the worst that one of its tasks has, and leads to it", () => {
  const tasks = ["ran", "failed", "ran", "ran"].map((status, i) => ({ name: `t${i}`, status }));
  const nodes = foldedNodes(
    [
      ["t", [0, 1, 2]],
      ["t3", [3]],
    ],
    tasks,
  );
  assert.deepEqual(
    nodes.map(({ text, status, task }) => [text, status, task]),
    [
      ["t × 3", "failed", "t1"],
      ["t3", "ran", "t3"],
    ],
  );
  assert.equal(
    countsOf(tasks.slice(0, 3), (status) => status),
    "2 ran, 1 failed",
  );
  const critical = { tasks: new Set([0, 3]), edges: new Set(["0-3"]), milliseconds: 1 };
  assert.deepEqual([...nodePath(nodes, critical)], ["0-1"]);
});

test("GeoJSON becomes shapes within a frame, north up, and nonsense is left out", () => {
  const value = {
    type: "FeatureCollection",
    features: [
      {
        type: "Feature",
        geometry: {
          type: "Polygon",
          coordinates: [
            [
              [10, 60],
              [12, 60],
              [12, 61],
              [10, 60],
            ],
          ],
        },
      },
      { type: "Feature", geometry: { type: "Point", coordinates: [11, "x"] } },
      {
        type: "Feature",
        geometry: { type: "GeometryCollection", geometries: [{ type: "Point", coordinates: [11, 60.5] }] },
      },
      null,
    ],
  };
  assert.ok(isGeo(value) && !isGeo({ type: "FeatureCollection" }) && !isGeo(null) && !isGeo([1]));
  const shapes = shapesOf(value);
  assert.deepEqual(
    shapes.map(({ kind, rings }) => [kind, rings.length]),
    [
      ["area", 1],
      ["point", 1],
    ],
  );
  const frame = frameOf(shapes, 400)!;
  assert.ok(frame.height < 800);
  assert.ok(frame.to([10, 61])[1] < frame.to([10, 60])[1]);
  assert.match(pathOf(shapes[0]!, frame), /^M8\.0 [\d.]+L[^Z]+Z$/);
  assert.equal(frameOf([], 400), undefined);
});

test("a view is a line of TOML", () => {
  assert.equal(viewLine('the "best"', "#/runs?sort=-a"), '"the \\"best\\"" = "#/runs?sort=-a"');
});
