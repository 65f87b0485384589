// Checks JSON by a schema: says what is wrong and fails, or says nothing.
//
//   node schema.mjs SCHEMA FILE [--lines]
//
// With --lines each line of FILE is a document.

import { readFileSync } from 'node:fs';
import { require } from './browser.mjs';

const [schema, file, lines] = process.argv.slice(2);
const contents = readFileSync(file, 'utf8');
const documents = lines ? contents.trimEnd().split('\n') : [contents];
const parsed = JSON.parse(readFileSync(schema, 'utf8'));
// The schema says by which edition of JSON Schema it is written.
const isNew = parsed.$schema?.includes('2020-12');
const { default: Ajv } = isNew ? require('ajv/dist/2020') : require('ajv');
const check = new Ajv({ allErrors: false, strict: false }).compile(parsed);
documents.forEach((document, number) => {
  if (!check(JSON.parse(document))) {
    console.error(`document ${number}: ${JSON.stringify(check.errors)}`);
    process.exit(1);
  }
});
