/** The numbers that check.wasm exports (offsets of its structures, values of its enumerations), and the version of prepared files, as a C++ header. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './step.mjs';

/** `ContextLayout.wordMask` becomes `layout::ContextLayout_wordMask`. */
export function writeCheckLayout(target) {
  const module = new WebAssembly.Module(readFileSync(join(root, 'build', 'check.wasm')));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory }, host: { read: () => 0 } });
  const numbers = Object.entries(exports).filter(([, value]) => value instanceof WebAssembly.Global);
  const lines = numbers.map(([name, { value }]) => `constexpr uint32_t ${name.replace('.', '_')} = ${value};`);
  const format = JSON.parse(readFileSync(join(root, 'scripts', 'lib', 'harness-format.json'), 'utf8'));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(
    target,
    [
      '// Generated from the exports of check.wasm by scripts/lib/check-layout-header.mjs.',
      '#pragma once',
      '#include <cstdint>',
      '// Version of the files that `usercopy prepare` writes.',
      `#define USERCOPY_HARNESS_FORMAT "${format.version}"`,
      'namespace layout {',
      ...lines,
      '}  // namespace layout',
      '',
    ].join('\n'),
  );
}
