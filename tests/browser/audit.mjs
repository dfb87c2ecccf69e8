// Opens pages in headless Chromium and says what it saw, as one JSON document: `node audit.mjs FOLDER PAGE...`
// FOLDER receives a picture of each page on a desktop, on a phone and on paper.
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };

const [folder, ...files] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", chromiumSandbox: false });
const seen = {};
for (const file of files) seen[basename(file)] = await look(file);
await browser.close();
console.log(JSON.stringify(seen));

async function look(file) {
  const found = { load: await load(file), keyboard: await keyboard(file), violations: [], sizes: {}, requests: [] };
  for (const [name, viewport] of Object.entries(SIZES)) {
    // The page forbids scripts, axe's too: only that is lifted here.
    const page = await open(file, { viewport, bypassCSP: true }, found.requests);
    found.sizes[name] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    // Folded or not, everything is looked at.
    await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
    found.violations.push(...(await axe(page)));
    await page.screenshot({ path: join(folder, `${basename(file)}-${name}.png`), fullPage: false });
    await page.context().close();
  }
  found.printed = await print(file);
  found.title = await title(file);
  return found;
}

async function open(file, options, requests = []) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("request", (request) => requests.push(request.url().slice(0, 100)));
  await page.goto(pathToFileURL(file).href);
  return page;
}

// With scripts allowed, what machines said must still be text.
async function title(file) {
  const page = await open(file, { bypassCSP: true });
  const found = await page.title();
  await page.context().close();
  return found;
}

// As a reader opens it: without JavaScript, which the page does not need, milliseconds until everything is there.
async function load(file) {
  const times = [];
  for (let run = 0; run < 3; run++) {
    const context = await browser.newContext({ viewport: SIZES.desktop, javaScriptEnabled: false });
    const page = await context.newPage();
    const started = performance.now();
    await page.goto(pathToFileURL(file).href, { waitUntil: "load" });
    await page.screenshot();
    times.push(performance.now() - started);
    await context.close();
  }
  return Math.min(...times);
}

async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes[0].html.slice(0, 200)} (${v.nodes.length})`);
}

// Keys alone, without JavaScript in the page: the skip link comes first, a check unfolds by Enter, focus can be seen.
async function keyboard(file) {
  const page = await open(file, { viewport: SIZES.desktop, bypassCSP: true });
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => [document.activeElement.className, document.activeElement.getBoundingClientRect().x >= 0]);
  const summary = page.locator("details:not([open]) > summary").first();
  await summary.focus();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Tab");
  const outline = await summary.evaluate((one) => getComputedStyle(one).outlineStyle);
  await page.keyboard.press("Enter");
  const unfolded = await page.evaluate(() => document.activeElement.parentElement.open);
  await page.context().close();
  return { first, outline, unfolded };
}

// On paper folded checks are there too, and nothing is cut off at the edge.
async function print(file) {
  const page = await open(file, { viewport: { width: 794, height: 1123 }, bypassCSP: true });
  await page.emulateMedia({ media: "print" });
  const hidden = await page.evaluate(() => {
    const facts = [...document.querySelectorAll("details:not([open]) dd")];
    return facts.filter((one) => one.getBoundingClientRect().height === 0).length;
  });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  await page.pdf({ path: join(folder, `${basename(file)}-print.pdf`), preferCSSPageSize: true, printBackground: true });
  await page.context().close();
  return { hidden, wide };
}
