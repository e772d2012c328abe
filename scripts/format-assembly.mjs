/**
 * Formats assembly/ with Biome, whose parser knows decorators of classes only: those of functions (`@inline`, `@external`)
 * stand as comments meanwhile. `--check` changes nothing and fails where a file would change.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const biome = fileURLToPath(new URL('../node_modules/@biomejs/biome/bin/biome', import.meta.url));
const onlyCheck = process.argv.includes('--check');
const MARK = '//@';

function formatted(name, text) {
  const hidden = text.replace(/^(\s*)@(?=inline|external)/gm, `$1${MARK}`);
  const args = [biome, 'format', '--stdin-file-path', `scripts/${name}`];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, input: hidden, encoding: 'utf8' });
  if (status !== 0) throw new Error(`assembly/${name}: ${stderr}`);
  return stdout.replaceAll(MARK, '@');
}

const names = readdirSync(`${root}assembly`).filter((name) => name.endsWith('.ts'));
const changed = names.filter((name) => {
  const path = `${root}assembly/${name}`;
  const text = readFileSync(path, 'utf8');
  const better = formatted(name, text);
  if (better === text) return false;
  if (!onlyCheck) writeFileSync(path, better);
  return true;
});
for (const name of changed) console.log(`assembly/${name}: ${onlyCheck ? 'is not formatted' : 'formatted'}`);
if (onlyCheck && changed.length > 0) {
  console.log('node scripts/format-assembly.mjs formats them');
  process.exitCode = 1;
}
