// Reports in headless Chromium: readable with scripts off and on, in the light and in
// the dark, without a request, an error or a serious finding of axe-core; what the
// script adds is typed and clicked.
//
// Usage: node reports.mjs PAGES PICTURES
// PAGES: a folder with NAME.html and NAME.txt, a line each of what NAME has to show.
// Screenshots go to PICTURES. MODULES: where puppeteer-core and axe-core are.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const need = createRequire(join(resolve(process.env.MODULES), "from.js"));
const puppeteer = need("puppeteer-core");
const axe = need("axe-core").source;

const [pages, pictures] = process.argv.slice(2).map((path) => resolve(path));
let failed = 0;

function check(name, problems) {
  console.log(`check: ${name}: ${problems.length ? "FAILED" : "ok"}`);
  problems.forEach((problem) => console.log(`  ${problem}`));
  failed += problems.length ? 1 : 0;
}

// A page with everything that goes wrong in it.
async function open(browser, name, { script, scheme, width = 1280 }) {
  const page = await browser.newPage();
  const problems = [];
  const address = pathToFileURL(join(pages, `${name}.html`)).href;
  page.on("console", (message) => problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (request.url() !== address) problems.push(`request: ${request.url()}`);
  });
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(address);
  return { page, problems };
}

// What cannot be seen.
async function read({ page, problems }, lines) {
  const text = await page.evaluate(() => document.body.innerText);
  lines.filter((line) => !text.includes(line)).forEach((line) => problems.push(`not shown: ${line}`));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 0) problems.push(`${wide} pixels wider than the window`);
}

// What cannot be seen by everybody.
async function accessible({ page, problems }) {
  // What is evaluated waits for promises, which do not come where scripts are off; that
  // of the page has not run then, and does not any more.
  await page.setJavaScriptEnabled(true);
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  serious.forEach(({ id, nodes }) => problems.push(`axe ${id}: ${nodes.length}: ${nodes[0].html.slice(0, 200)}`));
}

async function search(page, text) {
  await page.$eval("#search", (input) => (input.value = ""));
  await page.type("#search", text);
  return page.evaluate(() => ({
    rows: [...document.querySelectorAll("tbody tr:not([hidden])")].map((row) => row.textContent),
    frames: [...document.querySelectorAll(".hit > title")].map((title) => title.textContent),
    said: document.querySelector("#tools output").textContent,
  }));
}

async function searched({ page, problems }, text) {
  const { rows, frames, said } = await search(page, text);
  const all = [...rows, ...frames];
  if (!rows.length) problems.push(`search: no row has ${text}`);
  if (!all.every((one) => one.toLowerCase().includes(text))) problems.push(`search: ${all.join(" | ")}`);
  if (said !== `${rows.length} rows, ${frames.length} frames`) problems.push(`search: it says ${said}`);
  const none = await search(page, "no such name");
  if (none.rows.length || none.frames.length) problems.push(`search: found ${none.rows.length}`);
  await page.$eval("#search", (input) => {
    input.value = "";
    input.dispatchEvent(new Event("input"));
  });
}

// The first column of numbers of the first table that has one.
async function sorted({ page, problems }) {
  const heading = await page.$("thead th.number[aria-sort] button");
  if (!heading) return;
  const cells = () =>
    page.evaluate(() => {
      const heading = document.querySelector("thead th.number[aria-sort]");
      const rows = [...heading.closest("table").tBodies[0].rows];
      return rows.map((row) => row.cells[heading.cellIndex].textContent.trim());
    });
  const before = await cells();
  await heading.evaluate((button) => {
    for (let at = button; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  });
  await heading.click();
  const down = await cells();
  await heading.click();
  const up = await cells();
  const all = (list) => [...list].sort().join();
  if (all(before) !== all(down) || all(down) !== all(up)) problems.push("sort: rows were lost");
  const plain = down.every((cell) => /^\d+$/.test(cell));
  const falls = down.every((cell, at) => at === 0 || Number(down[at - 1]) >= Number(cell));
  if (plain && !falls) problems.push(`sort: ${down.join(" ")}`);
  if (new Set(before).size > 1 && down[0] === up[0]) problems.push(`sort: ${down[0]} stays first`);
}

// Into the widest frame that is narrower than the picture, and out again.
async function zoomed({ page, problems }) {
  if (!(await page.$(".f"))) return;
  const place = (index) =>
    page.evaluate((index) => {
      const frame = document.querySelectorAll(".f")[index];
      return { width: frame.getBoundingClientRect().width, of: frame.parentElement.getBoundingClientRect().width };
    }, index);
  const index = await page.evaluate(() => {
    const widths = [...document.querySelectorAll(".f")].map((frame) => parseFloat(frame.getAttribute("width")));
    return widths.findIndex((width) => width < 60 && width > 5);
  });
  if (index < 0) return;
  const before = await place(index);
  const frame = (await page.$$(".f"))[index];
  await frame.click();
  const wide = await place(index);
  if (Math.abs(wide.width - wide.of) > 1) problems.push(`zoom: ${wide.width} of ${wide.of}`);
  if (!(await frame.$("text"))) problems.push("zoom: a wide frame has no name");
  await page.keyboard.press("ArrowUp");
  const above = await page.evaluate(() => document.activeElement.classList.contains("f"));
  if (!above) problems.push("keys: the arrow does not lead to a frame");
  await page.keyboard.press("Escape");
  const after = await place(index);
  if (Math.abs(after.width - before.width) > 1) problems.push(`zoom: ${after.width} after ${before.width}`);
}

// Nobody opens anything on paper.
async function printed({ page, problems }) {
  const hidden = await page.evaluate(() => {
    const shut = [...document.querySelectorAll("details:not([open])")];
    const inside = shut.flatMap((details) => [...details.querySelectorAll("table, pre")]);
    return inside.filter((element) => !element.checkVisibility() || !element.getBoundingClientRect().height).length;
  });
  if (hidden) problems.push(`print: ${hidden} tables or texts are not shown`);
}

async function picture({ page }, name) {
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
}

async function report(browser, name) {
  const lines = readFileSync(join(pages, `${name}.txt`), "utf8").split("\n").filter(Boolean);
  for (const scheme of ["light", "dark"]) {
    for (const script of [false, true]) {
      const opened = await open(browser, name, { script, scheme });
      await read(opened, lines);
      const how = `${scheme}-${script ? "script" : "plain"}`;
      await picture(opened, `${name}-${how}`);
      // Plain in the light and with all in the dark: each colour and each element once.
      if (script === (scheme === "dark")) await accessible(opened);
      if (script && scheme === "light") {
        await searched(opened, lines[lines.length - 1].toLowerCase());
        await sorted(opened);
        await zoomed(opened);
        await picture(opened, `${name}-used`);
        await opened.page.pdf({ path: join(pictures, `${name}.pdf`), format: "a4" });
        await opened.page.emulateMediaType("print");
        await printed(opened);
        await picture(opened, `${name}-print`);
      }
      check(`${name} ${scheme}, ${script ? "script" : "no script"}`, opened.problems);
      await opened.page.close();
    }
  }
  const narrow = await open(browser, name, { script: true, scheme: "light", width: 390 });
  await read(narrow, []);
  await picture(narrow, `${name}-narrow`);
  check(`${name} narrow`, narrow.problems);
  await narrow.page.close();
}

mkdirSync(pictures, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  // The pages are ours; root has no sandbox.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
});
try {
  const names = readdirSync(pages).filter((file) => file.endsWith(".html")).map((file) => file.slice(0, -5));
  for (const name of names.sort()) await report(browser, name);
} finally {
  await browser.close();
}
process.exitCode = failed ? 1 : 0;
