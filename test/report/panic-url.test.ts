/** What a kernel that panicked puts into its QR code: digits of a real one (6.9-rc2), and both ways to write them. */
import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { packageFile } from '../../src/paths.js';
import { readReports, reportsIn } from '../../src/report/excerpts.js';
import { panicDigits, panicLog } from '../../src/report/panic-url.js';

/** As drm_panic_qr.rs of 6.12 writes them: a string of bits, cut into pieces of 13. */
function thirteens(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,13}/g) ?? [])
    .map((piece) => {
      const length = piece.length === 1 ? 1 : Math.floor((piece.length + 1) / 3);
      return Number.parseInt(piece, 2).toString().padStart(length, '0');
    })
    .join('');
}

/** As later ones do: numbers of seven bytes, the first byte the lowest. */
function sevens(bytes: Uint8Array): string {
  const digits = [0, 3, 5, 8, 10, 13, 15, 17];
  let text = '';
  for (let at = 0; at < bytes.length; at += 7) {
    const piece = [...bytes.subarray(at, at + 7)].reverse();
    const value = BigInt(`0x${piece.map((byte) => byte.toString(16).padStart(2, '0')).join('')}`);
    text += value.toString().padStart(digits[piece.length] ?? 0, '0');
  }
  return text;
}

describe('the address in a QR code of drm_panic', () => {
  // One digit of it is wrong, as its checksum says: everything before that place is as that kernel wrote it.
  it('of a real panic holds its log, and a wrong digit is told', () => {
    const digits = panicDigits(readFileSync(packageFile('test/report/fixtures/panic-report-6.9.txt'), 'utf8'));
    const log = panicLog(digits ?? '');
    expect(log?.whole).toBe(false);
    expect(log?.text).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(log?.text).toContain('CPU: 6 PID: 2454 Comm: bash Not tainted 6.9.0-rc2+ #7');
  });

  // Every length of a remainder, by logs of many lengths.
  it.each([
    ['13 bits as 4 digits', thirteens],
    ['7 bytes as 17 digits', sevens],
  ])('written %s gives back every log', (_, write) => {
    for (let length = 0; length < 120; length++) {
      const log = `usercopy: Kernel memory exposure attempt detected from SLUB object 'a' (offset 0, size ${length})! ${'x7q'.repeat(length)}`;
      const digits = write(deflateSync(log));
      const url = `https://example.org/panic_report/#?a=x86_64&v=6.14.0&zl=${digits}`;
      expect(panicLog(panicDigits(url) ?? '')).toEqual({ text: log, whole: true });
    }
  });

  it('stands in a text beside a report, which counts too, and once where both are of one crash', async () => {
    const line = (size: number) =>
      `[   12.345678] usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size ${size})!\n`;
    const link = (log: string) => `see also: https://example.org/panic_report/#?zl=${sevens(deflateSync(log))}\n`;
    const sizes = async (text: string) => (await readReports([text])).map(({ message }) => message?.size);
    expect(await sizes(line(100) + link(line(200)))).toEqual([100n, 200n]);
    expect(await sizes(line(100) + link(line(100)))).toEqual([100n]);
    expect(await sizes(link(line(200)))).toEqual([200n]);
    expect(await sizes(line(100) + link('a panic of another kind'))).toEqual([100n]);
    // Every address of an archive is read, also behind one that holds no log.
    expect(await sizes(link(line(200)) + link(line(300)) + link(line(200)))).toEqual([200n, 300n]);
    const unrelated = `https://example.org/watch?zl=${'7'.repeat(40)}\n`;
    expect(await sizes(unrelated + link(line(200)) + unrelated + link(line(300)))).toEqual([200n, 300n]);
  });

  it('is of the line that it stands in, and the log in it has lines of its own', async () => {
    const line = (size: number) =>
      `[   12.345678] usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size ${size})!\n`;
    const filler = 'something ordinary\n';
    const log = filler.repeat(7) + line(200);
    const link = `see also: https://example.org/panic_report/#?zl=${sevens(deflateSync(log))}\n`;
    const text = filler.repeat(2) + line(100) + filler.repeat(20) + link;
    const { reports, placeOf } = reportsIn(text);
    // What ends the first one is not told.
    expect(reports.map(({ lines, message }) => [message?.size, lines])).toEqual([
      [100n, { first: 3, last: 24 }],
      [200n, { first: 24, last: 24 }],
    ]);
    expect(reports.map(placeOf)).toEqual([
      { text, lines: { first: 3, last: 24 } },
      { text: log, lines: { first: 8, last: 8 } },
    ]);
    // What is told again is told where it stands in the text.
    const again = reportsIn(line(200) + filler + link).reports;
    expect(again).toHaveLength(1);
    expect(again[0]?.notes.join('\n')).toMatch(/told again in line [13] of the text/);
    // Of a text that is too long to be read at once too.
    const rows = 3000;
    const long = function* () {
      for (let row = 0; row < rows; row++) yield filler.repeat(1000);
      yield link;
      yield filler.repeat(1000);
    };
    const found = await readReports(long());
    expect(found.map(({ message, lines: { first } }) => [message?.size, first])).toEqual([[200n, rows * 1000 + 1]]);
  });

  it.each([
    ['behind the first megabyte of a log', 'line of a log\n'.repeat(80_000)],
    ['behind many that are none', `&zl=${'7'.repeat(16)} `.repeat(50_000)],
    ['behind one in the middle of a word', `xhttps://example.org/?zl=${'7'.repeat(16)}\n`],
  ])('is found %s', (_, before) => {
    const digits = sevens(deflateSync('a log'));
    expect(panicDigits(`${before}https://example.org/panic_report/#?a=x86_64&zl=${digits}\n`)).toBe(digits);
  });

  it('is none where the digits hold no log, or no address is there', () => {
    expect(panicLog('1'.repeat(400))).toBeNull();
    expect(panicLog('9'.repeat(401))).toBeNull();
    expect(panicDigits('zl=1234567890123456789')).toBeNull();
    expect(panicDigits('https://example.org/?zl=12')).toBeNull();
  });
});
