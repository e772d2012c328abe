#!/usr/bin/env node
/**
 * Whether the proof of types sees a member that lies elsewhere: proves a table on its kernel, then again and again with one
 * of the members that were proved moved by 4 or 8 bytes. Each of these proofs must fail.
 *
 *     node scripts/prove-types.mjs IMAGE TABLE.json [member…]         6.1.0-50-686's image, arch/x86/offsets/6.1.0-50-686.json
 */
import { readFileSync } from 'node:fs';
import { loadKernel } from '../build/js/src/image/load.js';
import { proveTypes } from '../build/js/src/scenario/prove-types.js';

const [, , image, file, ...wanted] = process.argv;
if (file === undefined) {
  console.error('usage: node scripts/prove-types.mjs IMAGE TABLE.json [member…]');
  process.exit(2);
}
const table = JSON.parse(readFileSync(file, 'utf8'));
const kernel = { ...(await loadKernel({ path: image })), types: null };
const began = Date.now();
const whole = await proveTypes(kernel, table);
console.log(`${whole.proved.length} members proved in ${Date.now() - began} ms: ${whole.proved.join(', ')}`);
for (const [member, difference] of whole.contradicted) console.log(`NOT ${member}: ${difference}`);
let missed = whole.contradicted.size;
const known = { ...kernel, symbols: whole.symbols };
for (const name of wanted.length > 0 ? wanted : whole.proved) {
  const [struct, member] = [name.slice(0, name.indexOf('.')), name.slice(name.indexOf('.') + 1)];
  for (const by of [4, 8]) {
    const moved = structuredClone(table);
    moved.structs[struct].members[member][0] += by;
    moved.structs[struct].size += by;
    const seen = await proveTypes(known, moved, { only: new Set([name]) }).then(
      ({ proved, contradicted }) => (proved.includes(name) ? null : (contradicted.get(name) ?? 'nothing follows it')),
      (error) => error.message,
    );
    console.log(`${seen === null ? 'NOT' : 'ok '} ${name} + ${by}: ${seen ?? 'proved all the same'}`);
    if (seen === null) missed++;
  }
}
process.exitCode = missed === 0 ? 0 : 1;
