// A headless Chromium, and a server for the files that it opens.
//
// Does: start and end both, collect what a page complains of. Does not: know any page.

import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';

/// Where `setup` has installed what is used here.
export const CLIENTS = process.env.FPPROF_CLIENTS;
export const require = createRequire(join(CLIENTS, 'package.json'));
const puppeteer = require('puppeteer-core');

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/// Runs `use(browser)` and ends the browser.
export async function withBrowser(use) {
  // Root may start Chromium only without its sandbox; what it opens here are the tests' own files.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--enable-unsafe-swiftshader'];
  const browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', headless: true, args });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/// Serves the files of `folders`, each below its name, on a free port; runs `use(address)`.
export async function withServer(folders, use) {
  const server = createServer((request, response) => {
    const [, name, ...rest] = decodeURIComponent(new URL(request.url, 'http://x').pathname).split('/');
    const path = folders[name] && join(folders[name], normalize('/' + rest.join('/')));
    const file = path ? createReadStream(path) : null;
    const missing = () => response.writeHead(404).end();
    if (!file) return missing();
    file.on('error', missing);
    file.on('open', () => {
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' });
      file.pipe(response);
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/// A page whose dialogs and errors are collected in `complaints`; `answer(dialog)` gives the text for a prompt.
export async function newPage(browser, complaints, answer = () => undefined) {
  const page = await browser.newPage();
  page.on('dialog', async (dialog) => {
    const text = answer(dialog);
    if (text === undefined) complaints.push(`dialog: ${dialog.message()}`);
    await (text === undefined ? dialog.dismiss() : dialog.accept(text));
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  return page;
}
