// Walks a site in Firefox: `npm i --no-save puppeteer-core && node test/firefox.mjs SITE`, with Debian's firefox-esr.
// Every page of the navigation, and those of the newest run, must fit the window and say nothing to the console.
import { resolve } from "node:path";
import puppeteer from "puppeteer-core";

const WIDTHS = [1280, 360];
const site = `file://${resolve(process.argv[2] ?? ".nbdag/site")}/index.html`;
const wrong = [];
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
  headless: true,
});
const page = await browser.newPage();
page.on("console", (said) => said.type() === "error" && wrong.push(`console: ${said.text()}`));
page.on("pageerror", (error) => wrong.push(`error: ${error}`));

/** Open an address, and give the addresses of the links that a selector finds. */
async function open(address, selector = "main a") {
  await page.goto("about:blank");
  await page.goto(site + address);
  await page.waitForSelector("main h1");
  await page.waitForFunction(() => !document.querySelector(".loading"));
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 900 });
    const [needed, complaint] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.querySelector("main .complaint")?.textContent,
    ]);
    if (needed > width) wrong.push(`${address} at ${width}: ${needed} wide`);
    if (complaint) wrong.push(`${address}: ${complaint}`);
  }
  return page.evaluate((found) => [...document.querySelectorAll(found)].map((link) => link.hash), selector);
}

const pages = await open("#/runs", "nav[aria-label=Pages] a");
const [run] = (await open("#/runs")).filter((address) => address.startsWith("#/run/"));
const [task] = (await open(run)).filter((address) => address.includes("/task/"));
const tabs = [...(await open(run, ".tabs a")), ...(await open(task, ".tabs a"))];
for (const address of [...pages, ...tabs]) await open(address);
console.log(`${await browser.version()}: ${pages.length + tabs.length} pages, ${wrong.length} faults`);
for (const fault of wrong) console.log(fault);
await browser.close();
process.exitCode = wrong.length ? 1 : 0;
