// Opens profiles in speedscope and prints what it shows of each: JSON on standard output.
//
//   node speedscope.mjs FILE...
//
// For each file: the window's title, speedscope's complaints, the names and totals of its profiles (threads), where it has
// several, and the functions of the first one with their total and own time, all as speedscope words them.

import { basename, dirname, join } from 'node:path';
import { CLIENTS, newPage, withBrowser, withServer } from './browser.mjs';

const files = process.argv.slice(2);
const folders = { app: join(CLIENTS, 'node_modules/speedscope/dist/release') };
files.forEach((file, number) => (folders[`p${number}`] = dirname(file)));

const TIMEOUT = { timeout: 30000 };

/// The rows of all tables: those of profiles are a number, a name and a total; those of functions two times and a name.
function rows() {
  return [...document.querySelectorAll('table tr')]
    .map((row) => [...row.querySelectorAll('td')].map((cell) => cell.innerText.trim()))
    .filter((cells) => cells.length === 3);
}

async function open(browser, address, number) {
  const complaints = [];
  const page = await newPage(browser, complaints);
  // The list of functions holds only the rows that can be seen.
  await page.setViewport({ width: 1200, height: 4000 });
  const profile = `${address}/p${number}/${encodeURIComponent(basename(files[number]))}`;
  await page.goto(`${address}/app/index.html#profileURL=${encodeURIComponent(profile)}&view=sandwich`);
  const hasRows = () => document.querySelector('table td') || document.body.innerText.includes('Something went wrong');
  await page.waitForFunction(hasRows, TIMEOUT).catch(() => complaints.push('nothing is shown'));
  const text = await page.evaluate(() => document.body.innerText);
  if (text.includes('Something went wrong')) complaints.push(text);
  const all = await page.evaluate(rows);
  const isProfile = ([first]) => /^\d+$/.test(first);
  const profiles = all.filter(isProfile).map(([, name, total]) => ({ name, total }));
  const functions = all.filter((row) => !isProfile(row)).map(([total, own, name]) => ({ name, total, own }));
  const title = await page.title();
  await page.close();
  return { title, complaints, profiles, functions };
}

const shown = await withServer(folders, (address) =>
  withBrowser(async (browser) => {
    const all = [];
    for (const number of files.keys()) all.push(await open(browser, address, number));
    return all;
  }),
);
console.log(JSON.stringify(shown));
