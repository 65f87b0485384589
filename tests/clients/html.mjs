// Opens a page in Chromium, uses each of its views by mouse and by keyboard, and prints what happened: JSON on standard output.
//
//   node html.mjs FILE TERM PICTURE
//
// TERM is searched for; PICTURE is where a screenshot goes. Printed: complaints, requests for anything but the page, and what each
// view shows before and after it was used.

import { pathToFileURL } from 'node:url';
import { newPage, withBrowser } from './browser.mjs';

const [file, term, picture] = process.argv.slice(2);

/// The labels of the frames, and which of them a search has found.
const frames = () => [...document.querySelectorAll('.frame')].map((frame) => frame.ariaLabel);
const found = () => [...document.querySelectorAll('.frame.found')].map((frame) => frame.ariaLabel);
const rows = () => [...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent));

const shown = await withBrowser(async (browser) => {
  const complaints = [];
  const requests = [];
  const page = await newPage(browser, complaints);
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('request', (request) => requests.push(request.url()));
  await page.setViewport({ width: 1240, height: 760 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  const address = pathToFileURL(file).href;
  await page.goto(address);
  const text = (id) => page.evaluate((id) => document.getElementById(id).textContent, id);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const focused = () => page.evaluate(() => document.activeElement.ariaLabel);
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const result = { complaints, title: await text('title'), empty: await text('empty'), facts: await text('facts') };
  result.images = await page.evaluate(() => document.images.length + document.scripts.length);
  result.frames = await page.evaluate(frames);
  result.details = await text('details');
  if (result.frames.length > 0) {
    await page.screenshot({ path: picture });
    // Zoom by keys: to the widest frame below, and out again.
    await page.focus('.frame');
    await press('ArrowDown');
    result.below = await focused();
    await press('ArrowDown', 'Enter');
    result.zoomed = await page.evaluate(frames);
    await press('Backspace', 'Escape');
    result.unzoomed = await page.evaluate(frames);
    // Search by keys, zoom with the mouse.
    await press('/');
    await page.keyboard.type(term);
    result.searched = await text('details');
    result.found = await page.evaluate(found);
    await page.click('.frame.found');
    result.clicked = await page.evaluate(frames);
    await page.click('#search');
    await press('Escape');
    result.left = await page.evaluate(found);
  }
  await page.click('#tab-functions');
  result.folded = await page.evaluate(rows);
  result.withoutPython = await text('more');
  if (!(await page.$eval('#native', (box) => box.checked))) await page.click('#native');
  result.functions = await page.evaluate(rows);
  result.columns = await text('columns');
  if (result.functions.length > 0) {
    await page.click('th[data-key=name] button');
    result.byName = await page.evaluate(rows);
    result.sorted = await page.evaluate(() => document.querySelector('th[data-key=name]').ariaSort);
    await page.type('#search', term);
    result.filtered = await page.evaluate(rows);
    await page.click('#rows button');
    result.opened = await page.evaluate(() => document.getElementById('flame').hidden === false);
  }
  // The tabs by keys.
  await page.click('#tab-functions');
  await press('ArrowRight');
  result.source = await page.evaluate(() => ({
    isShown: !document.getElementById('source').hidden,
    files: [...document.getElementById('file').options].map((option) => option.textContent),
    note: document.getElementById('file-note').textContent,
    rows: [...document.querySelectorAll('#code .row:not(.head)')].map((row) => [...row.children].map((cell) => cell.textContent)),
    hot: [...document.querySelectorAll('#code .row')].filter((row) => row.style.background).length,
    here: document.querySelector('.row.here code')?.textContent,
  }));
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  result.inView = await page.evaluate(() => {
    const [code, row] = [document.getElementById('code'), document.querySelector('.row.here')].map((part) => part?.getBoundingClientRect());
    return row !== undefined && row.top >= code.top && row.bottom <= code.bottom;
  });
  if (result.source.here !== undefined) {
    await page.click('#hottest');
    result.next = await page.evaluate(() => document.querySelector('.row.here code').textContent);
  }
  await page.click('#tab-threads');
  result.threads = await page.evaluate(() => [...document.querySelectorAll('.lane:not(.axis)')].map((lane) => lane.textContent));
  result.states = await text('states');
  if (result.threads.length > 0) {
    await page.hover('.lane canvas');
    result.moment = await text('moment');
    await page.focus('.lane canvas');
    await press('ArrowRight');
    result.later = await text('moment');
    result.drawn = await page.evaluate(() => {
      const canvas = document.querySelector('.lane canvas');
      const { data } = canvas.getContext('2d').getImageData(0, canvas.height - 1, canvas.width, 1);
      return new Set(data.filter((_, index) => index % 4 === 0)).size;
    });
  }
  result.light = await background();
  await page.click('#theme');
  result.dark = await background();
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  await page.reload();
  result.preferred = await background();
  result.requests = requests.filter((url) => url !== address);
  return result;
});
console.log(JSON.stringify(shown));
