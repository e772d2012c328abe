/** check.wasm as JavaScript, by Binaryen's wasm2js, for places without WebAssembly: build/check.mjs. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root, SetupError } from './step.mjs';

export function writeJavaScriptCheck() {
  const wasm2js = join(root, 'node_modules', 'binaryen', 'bin', 'wasm2js');
  const [source, raw, target] = ['check.wasm', 'check.raw.mjs', 'check.mjs'].map((name) => join(root, 'build', name));
  mustRun('javascript-check', 'translating check.wasm to JavaScript', [
    [process.execPath, wasm2js, source, '-O3', '-o', raw],
  ]);
  // wasm2js makes an instance when it is imported, with imports of its own choice: keep the function that makes it, and what it calls.
  const text = readFileSync(raw, 'utf8');
  const start = text.indexOf('function asmFunc(');
  const end = text.indexOf('var retasmFunc =');
  if (start < 0 || end < start) throw new SetupError('wasm2js wrote something else than a function asmFunc()');
  const helpers = text.slice(0, start).replace(/^import .*\n/gm, '');
  writeFileSync(target, `${helpers.trim()}\nexport default ${text.slice(start, end)}`);
  rmSync(raw);
}
