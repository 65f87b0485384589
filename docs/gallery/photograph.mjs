// Photographs pictures and pages in Chromium: those whose files are there.
//
//   node photograph.mjs FOLDER_OF_OUTPUTS FOLDER_OF_PICTURES

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { newPage, withBrowser } from '../../tests/clients/browser.mjs';

const [outputs, pictures] = process.argv.slice(2);

const PICTURES = [
  { name: 'flamegraph', file: 'flamegraph.svg', height: 560 },
  { name: 'inverted', file: 'inverted.svg', height: 420 },
  { name: 'chart', file: 'chart.svg', height: 420 },
  { name: 'diff', file: 'diff.svg', height: 560 },
  { name: 'page', file: 'run.html', height: 620 },
  { name: 'source', file: 'run.html', tab: 'source', height: 620 },
  { name: 'functions', file: 'run.html', tab: 'functions', height: 480, theme: 'dark' },
  { name: 'threads', file: 'threads.html', tab: 'threads', height: 470, theme: 'dark' },
  { name: 'web_service', file: 'web_service.svg', width: 1040, height: 760, scale: 1.35, quality: 65 },
  { name: 'situation_gil', file: 'situation_gil.svg', height: 265 },
  { name: 'situation_io', file: 'situation_io.svg', height: 250 },
  { name: 'situation_native', file: 'situation_native.svg', height: 330 },
  { name: 'situation_gc', file: 'situation_gc.svg', height: 240 },
  { name: 'situation_cpu', file: 'situation_cpu.svg', height: 240 },
];

await withBrowser(async (browser) => {
  const complaints = [];
  const page = await newPage(browser, complaints);
  for (const { name, file, tab, width, height, scale, quality, theme } of PICTURES.filter(({ file }) => existsSync(join(outputs, file)))) {
    await page.setViewport({ width: width ?? 1220, height, deviceScaleFactor: scale ?? 1 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme ?? 'light' }]);
    await page.goto(pathToFileURL(join(outputs, file)).href);
    if (tab) await page.click(`#tab-${tab}`);
    // Two frames: what observes sizes draws in the second.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: join(pictures, `${name}.webp`), type: 'webp', quality: quality ?? 80 });
  }
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
});
