// Bundles the site into one classic script and one stylesheet, with the notices of what is in them.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "nbmake_dag_reporting", "app");

const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
const more = await build({
  absWorkingDir: here,
  entryPoints: { maths: "src/maths_bundle.ts", texts: "src/texts_bundle.ts" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
await build({
  absWorkingDir: here,
  entryPoints: { maths: "node_modules/katex/dist/katex.min.css" },
  outdir: out,
  bundle: true,
  minify: true,
  // every browser that runs the script takes woff2; within the stylesheet, a font needs no request of its own
  loader: { ".woff2": "dataurl", ".woff": "empty", ".ttf": "empty" },
  logLevel: "warning",
});
await build({
  absWorkingDir: here,
  entryPoints: { app: "src/app.css" },
  outdir: out,
  minify: true,
  logLevel: "warning",
});

const packages = new Set();
for (const path of [result, more].flatMap(({ metafile }) => Object.keys(metafile.inputs))) {
  const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  if (found) packages.add(found[1]);
}
const notices = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license"]) {
    try {
      return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  throw new Error(`${name} has no licence text`);
});
writeFileSync(
  join(out, "NOTICES.txt"),
  `The site's script contains these libraries.\n\n${notices.join(`\n${"-".repeat(80)}\n\n`)}`,
);
