/**
 * Writes the C++ tables of Unicorn's names (architectures, modes, errors, CPU models, registers) from its installed
 * headers, so that they are those of the version that the addon is built against. The compiler fills in the values.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

function enumerators(text, pattern) {
  const names = new Map();
  for (const [constant, ...groups] of text.matchAll(pattern)) names.set(constant, groups);
  return names;
}

function table(name, rows) {
  const lines = rows.map(([label, constant]) => `    {"${label}", ${constant}},`);
  return `static const Name ${name}[] = {\n${lines.join('\n')}\n    {nullptr, 0}};\n`;
}

/** @param headers folder with unicorn.h, @param target file to write */
export function writeUnicornNames(headers, target) {
  const main = readFileSync(join(headers, 'unicorn.h'), 'utf8');
  const rows = (prefix) =>
    [...enumerators(main, new RegExp(`\\b${prefix}_([A-Z0-9_]+)\\b(?=\\s*(?:=|,))`, 'g'))]
      .map(([constant, [label]]) => [label, constant])
      .filter(([label]) => label !== 'MAX');
  const architectures = rows('UC_ARCH');
  const pieces = [
    '// Generated from the headers of libunicorn by scripts/lib/unicorn-names.mjs.',
    '#pragma once',
    '#include <unicorn/unicorn.h>',
    'struct Name {\n  const char* label;\n  int value;\n};',
    'struct ArchNames {\n  int arch;\n  const Name* registers;\n  const Name* cpus;\n};',
    table('kArchitectures', architectures),
    table('kModes', rows('UC_MODE')),
    table('kErrors', rows('UC_ERR')),
  ];
  const perArch = [];
  const files = new Set(readdirSync(headers));
  for (const [label, constant] of architectures) {
    const file = `${label.toLowerCase()}.h`;
    if (!files.has(file)) continue;
    const text = readFileSync(join(headers, file), 'utf8').replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
    const registers = [...enumerators(text, new RegExp(`\\bUC_${label}_REG_([A-Z0-9_]+)\\b`, 'g'))]
      .filter(([, [name]]) => name !== 'INVALID' && name !== 'ENDING')
      .map(([register, [name]]) => [name.toLowerCase(), register]);
    const cpus = [...enumerators(text, /\bUC_CPU_([A-Z0-9_]+)\b/g)]
      .filter(([, [name]]) => !name.endsWith('_ENDING'))
      .map(([cpu, [name]]) => [name, cpu]);
    pieces.push(table(`kRegisters${label}`, registers), table(`kCpus${label}`, cpus));
    perArch.push(`    {${constant}, kRegisters${label}, kCpus${label}},`);
  }
  pieces.push(`static const ArchNames kArchNames[] = {\n${perArch.join('\n')}\n    {0, nullptr, nullptr}};`);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, `${pieces.join('\n')}\n`);
}
