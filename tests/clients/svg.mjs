// Opens a picture in Chromium, searches in it and zooms, and prints what happened: JSON on standard output.
//
//   node svg.mjs FILE TERM PICTURE
//
// TERM is searched for; PICTURE is where a screenshot goes. Printed: complaints, the texts of all frames, what the search says
// that it has matched, the frames that are still seen after a click on the one that TERM has found, and after zooming out.

import { pathToFileURL } from 'node:url';
import { newPage, withBrowser } from './browser.mjs';

const [file, term, picture] = process.argv.slice(2);

/// The titles of the frames that can be seen.
function frames() {
  return [...document.querySelectorAll('#frames g')]
    .filter((g) => g.style.display !== 'none' && !g.classList.contains('hide'))
    .map((g) => g.querySelector('title').textContent);
}

const shown = await withBrowser(async (browser) => {
  const complaints = [];
  const page = await newPage(browser, complaints, (dialog) => (dialog.type() === 'prompt' ? term : undefined));
  await page.setViewport({ width: 1240, height: 700 });
  await page.goto(pathToFileURL(file).href);
  const text = (id) => page.evaluate((id) => document.getElementById(id)?.textContent?.trim(), id);
  const all = await page.evaluate(frames);
  const result = { complaints, title: await text('title'), frames: all, text: await page.evaluate(() => document.documentElement.textContent) };
  if (all.length > 0) {
    await page.screenshot({ path: picture });
    await page.keyboard.down('Control');
    await page.keyboard.press('f');
    await page.keyboard.up('Control');
    await page.waitForFunction(() => document.getElementById('matched').textContent.includes('%'), { timeout: 10000 });
    result.matched = await text('matched');
    const found = (term) => [...document.querySelectorAll('#frames g')].find((g) => g.textContent.includes(term));
    const frame = await page.evaluateHandle(found, term);
    await frame.evaluate((g) => g.querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true })));
    result.zoomed = await page.evaluate(frames);
    await page.evaluate(() => document.getElementById('unzoom').dispatchEvent(new MouseEvent('click', { bubbles: true })));
    result.unzoomed = await page.evaluate(frames);
  } else {
    await page.screenshot({ path: picture });
  }
  return result;
});
console.log(JSON.stringify(shown));
