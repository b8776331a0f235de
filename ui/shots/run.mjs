// Pictures of every page and state in a real browser, an accessibility checker on each, and how smooth long lists are.
//
// `npm run shots [-- WORD…]`: only stories whose name contains one of the words. Results are in shots/out.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';
import { preview } from 'vite';

const OUT = new URL('out/', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const USUAL = { width: 1180, height: 800 };
const NARROW = { width: 420, height: 820 };

const click = (name) => (page) => page.getByRole('button', { name }).first().click();

/** One state of the window: its address, and what is done before the picture. */
const STORIES = [
  { name: 'overview' },
  { name: 'overview-paused', query: 'scene=paused' },
  { name: 'overview-active', query: 'scene=active' },
  { name: 'overview-off', query: 'scene=off' },
  { name: 'overview-empty', query: 'scene=empty' },
  { name: 'overview-trouble', query: 'scene=trouble' },
  { name: 'overview-request', query: 'scene=request' },
  { name: 'gone', query: 'scene=gone' },
  { name: 'troubled', query: 'scene=troubled' },
  { name: 'connecting', query: 'scene=connecting' },
  { name: 'lost', query: 'scene=lost', act: (page) => page.getByText('Kiln does not run.').waitFor(), only: 'light' },
  { name: 'pause-menu', act: (page) => page.locator('[aria-haspopup=menu]').first().click() },
  { name: 'devices', hash: '#/devices' },
  {
    name: 'devices-chosen',
    hash: '#/devices',
    act: async (page) => {
      for (const row of [1, 2, 4]) await page.locator('[role=row] input[type=checkbox]').nth(row).check();
    },
  },
  { name: 'devices-menu', hash: '#/devices', act: (page) => page.locator('[role=row] [aria-haspopup=menu]').nth(2).click() },
  { name: 'devices-failed', hash: '#/devices', act: (page) => page.locator('main input[type=search]').fill('office display') },
  { name: 'devices-empty', hash: '#/devices', query: 'scene=empty' },
  { name: 'devices-update', hash: '#/devices', act: (page) => page.locator('.head .main').click() },
  { name: 'install', hash: '#/devices', act: async (page) => {
    await page.locator('[role=row] [aria-haspopup=menu]').nth(1).click();
    await page.locator('[role=menuitem]').first().click();
    await page.locator('dialog option[value^="serial:"]').first().waitFor({ state: 'attached' });
  } },
  { name: 'builders', hash: '#/builders' },
  { name: 'builders-alert', hash: '#/builders', query: 'scene=alert' },
  { name: 'builders-empty', hash: '#/builders', query: 'scene=empty' },
  { name: 'alert-wizard', hash: '#/builders', query: 'scene=alert', act: (page) => page.locator('section .main').first().click() },
  { name: 'request', hash: '#/builders', query: 'scene=request', act: (page) => page.locator('.banner button').click() },
  { name: 'pair-where', hash: '#/builders', act: (page) => page.locator('section .push').first().click() },
  { name: 'pair-compare', hash: '#/builders', act: async (page) => {
    await page.locator('section .push').first().click();
    await page.locator('dialog [name=host]').first().check();
    await page.locator('dialog .main').click();
    await page.locator('dialog .two').waitFor();
  } },
  { name: 'pair-waiting', hash: '#/builders', act: async (page) => {
    await page.locator('section .push').first().click();
    await page.locator('dialog [name=host]').first().check();
    await page.locator('dialog .main').click();
    await page.locator('dialog .two').waitFor();
    await page.locator('dialog footer .button:not(.main)').click();
    await page.locator('dialog [role=status]').waitFor();
  } },
  { name: 'forget', hash: '#/builders', act: async (page) => {
    await page.locator('main [aria-haspopup=menu]').first().click();
    await page.locator('[role=menuitem]').last().click();
  } },
  { name: 'endpoint-refused', hash: '#/builders', act: async (page) => {
    await page.locator('main [aria-haspopup=menu]').first().click();
    await page.locator('[role=menuitem]').nth(2).click();
    await page.locator('dialog [type=submit]').click();
    await page.locator('dialog [role=alert]').waitFor();
  } },
  { name: 'job-running', hash: '#/job/b1' },
  { name: 'job-search', hash: '#/job/b1', act: (page) => page.locator('input[type=search]').fill('note') },
  { name: 'job-failed', hash: '#/job/f1' },
  { name: 'job-waiting', hash: '#/job/b3' },
  { name: 'job-deferred', hash: '#/job/d1-flash' },
  { name: 'job-unknown', hash: '#/job/none' },
  { name: 'activity', hash: '#/activity' },
  { name: 'activity-empty', hash: '#/activity', query: 'scene=empty' },
  { name: 'availability', hash: '#/availability' },
  { name: 'storage', hash: '#/storage' },
  { name: 'availability-battery', hash: '#/availability', query: 'scene=battery' },
  { name: 'availability-no-box', hash: '#/availability', query: 'scene=trouble', act: (page) => page.locator('.box').scrollIntoViewIfNeeded() },
  { name: 'settings', hash: '#/settings' },
  { name: 'settings-refused', hash: '#/settings', act: async (page) => {
    const field = page.locator('input[type=number]').last();
    await field.fill('70000');
    await field.press('Tab');
    await page.locator('main [role=alert]').waitFor();
  } },
  { name: 'settings-sandbox', hash: '#/settings', act: async (page) => {
    await page.locator('select:has(option[value=best_effort])').selectOption('off');
    await page.locator('dialog').waitFor();
  } },
  { name: 'diagnostics', hash: '#/diagnostics' },
  { name: 'diagnostics-trouble', hash: '#/diagnostics', query: 'scene=trouble' },
  { name: 'first-what', query: 'scene=first' },
  { name: 'first-where', query: 'scene=first', act: async (page) => {
    await page.locator('dialog .main').click();
    await page.locator('#first').waitFor();
  } },
  { name: 'first-lend', query: 'scene=first', act: async (page) => {
    await page.locator('dialog .quiet').last().click();
    await page.locator('#first').waitFor();
    await page.locator('dialog .quiet').last().click();
    await page.locator('dialog .main').waitFor();
  } },
  { name: 'notes-many', query: 'scene=failing', act: (page) => page.locator('.note.more').waitFor() },
  { name: 'note', hash: '#/job/b1', act: async (page) => {
    await page.locator('.danger').first().click();
    await page.locator('.note').waitFor();
  } },
];

/** How the window may look; every story is pictured in each. */
const LOOKS = [
  { name: 'light', colorScheme: 'light' },
  { name: 'dark', colorScheme: 'dark' },
  { name: 'contrast', colorScheme: 'light', contrast: 'more' },
  { name: 'contrast-dark', colorScheme: 'dark', contrast: 'more' },
  { name: 'forced', colorScheme: 'dark', forcedColors: 'active' },
  { name: 'large', colorScheme: 'light', style: 'html { font-size: 200% }' },
  { name: 'narrow', colorScheme: 'light', viewport: NARROW },
  { name: 'narrow-large', colorScheme: 'dark', viewport: { width: 640, height: 820 }, style: 'html { font-size: 200% }' },
  { name: 'rtl', colorScheme: 'light', dir: 'rtl' },
  { name: 'german', colorScheme: 'light', query: 'lang=de' },
  { name: 'german-narrow', colorScheme: 'dark', query: 'lang=de', viewport: NARROW },
];

/** Returns what sticks out of the window or of a box that does not scroll. */
function overflowing() {
  const found = [];
  const wide = document.documentElement.clientWidth;
  for (const element of document.querySelectorAll('body *')) {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (box.width === 0 || style.visibility === 'hidden' || element.closest('.hidden, .lines, svg, .skip, .word, .cut *')) continue;
    if (box.right > wide + 1 || box.left < -1) found.push(`outside: ${element.className} ${element.textContent.slice(0, 40)}`);
    const cuts = style.overflowX === 'hidden' && !['cut', 'word', 'bar'].some((name) => element.classList.contains(name));
    if (cuts && element.scrollWidth > element.clientWidth + 1 && element.tagName !== 'PROGRESS') {
      found.push(`cut: ${element.className} ${element.textContent.slice(0, 40)}`);
    }
    if (style.overflowX === 'auto' && element.scrollWidth > element.clientWidth + 1 && element.tagName !== 'PRE') {
      found.push(`scrolls sideways: ${element.className}`);
    }
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (text && ['BUTTON', 'SPAN', 'P', 'H1', 'H2', 'A'].includes(element.tagName) && element.scrollWidth > element.clientWidth + 1 && style.display !== 'inline' && !element.classList.contains('cut')) {
      found.push(`text wider than its box: ${element.className} ${element.textContent.slice(0, 40)}`);
    }
  }
  return [...new Set(found)].slice(0, 5);
}

/** Scrolls through everything in steps of a page, one per frame; returns milliseconds between frames. */
function scrollThrough(selector) {
  const box = document.querySelector(selector);
  const times = [];
  return new Promise((resolve) => {
    let last = performance.now();
    let steps = 0;
    const step = (now) => {
      if (steps > 0) times.push(now - last);
      last = now;
      box.scrollTop = (box.scrollHeight / 200) * steps;
      steps += 1;
      if (steps <= 200) requestAnimationFrame(step);
      else resolve(times.sort((a, b) => a - b));
    };
    requestAnimationFrame(step);
  });
}

const words = process.argv.slice(2);
const stories = STORIES.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
const named = (list) => (process.env[list] ?? '').split(',').filter(Boolean);
const all = named('LOOKS').length + named('PAGES').length === 0;
const looks = LOOKS.filter(({ name }) => all || named('LOOKS').includes(name) || named('PAGES').includes(name));
/** The pages themselves: nothing is done on them, and nothing is out of the ordinary. */
const isPage = (story) => !story.act && !story.query;
if (words.length === 0 && all) rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

const server = await preview({ configFile: new URL('../vite.config.ts', import.meta.url).pathname, root: new URL('..', import.meta.url).pathname, build: { outDir: 'dist-mock' } });
const base = server.resolvedUrls.local[0];
const profile = mkdtempSync(join(tmpdir(), 'kiln-shots-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: USUAL,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const problems = [];
const page = context.pages()[0] ?? (await context.newPage());
let place = '';
page.on('console', (message) => {
  if (message.type() === 'error' || message.type() === 'warning') problems.push(`${place}: ${message.text()}`);
});
page.on('pageerror', (error) => problems.push(`${place}: ${error.message}`));
await page.addInitScript({ content: AXE });
// The window freezes it as well.
await page.addInitScript('Object.freeze(Object.prototype)');

let pictures = 0;
let checks = 0;
for (const look of looks) {
  await page.emulateMedia({ colorScheme: look.colorScheme, contrast: look.contrast ?? 'no-preference', forcedColors: look.forcedColors ?? 'none', reducedMotion: 'reduce' });
  await page.setViewportSize(look.viewport ?? USUAL);
  for (const story of stories) {
    if (story.only && story.only !== look.name) continue;
    if (!all && !named('LOOKS').includes(look.name) && !isPage(story)) continue;
    place = `${look.name}/${story.name}`;
    const query = [story.query, look.query].filter(Boolean).join('&');
    await page.goto('about:blank');
    await page.goto(`${base}?${query}${story.hash ?? ''}`);
    await page.locator('h1').first().waitFor();
    if (look.style) await page.evaluate((size) => (document.documentElement.style.fontSize = size), '200%');
    if (look.dir) await page.evaluate((dir) => (document.documentElement.dir = dir), look.dir);
    try {
      await story.act?.(page);
    } catch (error) {
      problems.push(`${place}: ${error.message.split('\n')[0]}`);
    }
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.waitForTimeout(60);
    await page.screenshot({ path: join(OUT, `${story.name}.${look.name}.png`) });
    pictures += 1;
    for (const one of await page.evaluate(overflowing)) problems.push(`${place}: ${one}`);
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    checks += 1;
    for (const { id, nodes } of violations) problems.push(`${place}: axe ${id}: ${nodes[0].target.join(' ')} (${nodes.length}) ${(nodes[0].any[0] ?? nodes[0].all[0])?.message ?? ''}`);
  }
}

const figures = {};
if (words.length === 0) {
  await page.setViewportSize(USUAL);
  for (const [name, address, selector] of [
    ['500 devices', '?devices=500#/devices', '.rows'],
    ['100 000 lines', '?lines=100000#/job/b1', '.lines'],
  ]) {
    await page.goto('about:blank');
    const before = Date.now();
    await page.goto(`${base}${address}`);
    await page.locator(`${selector} .line`).first().waitFor();
    const shown = Date.now() - before;
    const times = await page.evaluate(scrollThrough, selector);
    const at = (part) => Math.round(times[Math.floor((times.length - 1) * part)]);
    figures[name] = { 'shown after ms': shown, 'frame ms median': at(0.5), 'p95': at(0.95), 'worst': at(1) };
  }
}
await context.close();
await server.close();
rmSync(profile, { recursive: true, force: true });

writeFileSync(join(OUT, 'report.json'), JSON.stringify({ pictures, checks, figures, problems }, null, 2));
console.log(`${pictures} pictures, ${checks} accessibility checks, ${problems.length} problems`);
if (words.length === 0) console.table(figures);
for (const problem of problems) console.log(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
