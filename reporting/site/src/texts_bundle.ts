// The script of the libraries for texts: markdown, HTML, code and differences. The first page needs none of them.

import { diffLines, diffWordsWithSpace } from "diff";
import createDOMPurify from "dompurify";
import hljs from "highlight.js/lib/core";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import yaml from "highlight.js/lib/languages/yaml";
import { Marked } from "marked";

hljs.registerLanguage("python", python);
hljs.registerLanguage("json", json);
hljs.registerLanguage("yaml", yaml);

const texts = { createDOMPurify, diffLines, diffWordsWithSpace, hljs, Marked };
export type Texts = typeof texts;

const shared = globalThis as unknown as { nbdag?: Record<string, unknown> };
shared.nbdag = { ...shared.nbdag, texts };
