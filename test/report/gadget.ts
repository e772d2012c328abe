/** A log of one crash, written by hand, with what is in it: what is done to it must change no value. */
import { expect } from 'vitest';
import { chooseReport, parseReports } from '../../src/report/parse.js';
import type { UsercopyReport } from '../../src/report/report.js';

export const STAMPED = [
  "usercopy: Kernel memory exposure attempt detected from SLUB object 'gadget_cache' (offset 24, size 320)!",
  '------------[ cut here ]------------',
  'kernel BUG at mm/usercopy.c:102!',
  'invalid opcode: 0000 [#1] PREEMPT SMP',
  'CPU: 3 PID: 771 Comm: gadgetd Tainted: G           OE      6.12.9-gadget #1 Debian 6.12.9-1',
  'Hardware name: Widget Works G1/G1-A, BIOS 2.3 02/03/2021',
  'RIP: 0010:usercopy_abort+0x7a/0x7c',
  'Code: 48 c7 c7 f0 6b 1b 82 4c 89 d2 e8 63 2b df ff e8 74 11 a0 ff 48 89 df e8 6c 0f 00 00 <0f> 0b 49 c7 c1 44 c8 14 82',
  'RSP: 0018:ffffc90000affd80 EFLAGS: 00010246',
  'RAX: 0000000000000067 RBX: ffff888103a1c018 RCX: 0000000000000000',
  'RDX: 0000000000000000 RSI: 0000000000000001 RDI: 00000000ffffffff',
  'Call Trace:',
  ' __check_heap_object+0xd9/0x110',
  ' __check_object_size+0x1d1/0x220',
  ' gadget_read+0x52/0x90 [gadget]',
  ' vfs_read+0x9d/0x360',
  'Modules linked in: gadget(OE) snd_hda_codec_hdmi crc32_pclmul widget_helper xfs libcrc32c nls_iso8859_1',
  '---[ end trace 0000000000000000 ]---',
].map((line, index) => `[  761.${838_900 + index}] ${line}`);
/** Without the kernel's stamps. */
export const PLAIN = STAMPED.map((line) => line.slice('[  761.838900] '.length));

const WHOLE = {
  canonical: "usercopy: Kernel memory exposure attempt detected from SLUB object 'gadget_cache' (offset 24, size 320)!",
  bugLine: 'kernel BUG at mm/usercopy.c:102!',
  cpu: 3,
  pid: 771,
  comm: 'gadgetd',
  kernelVersion: '6.12.9-gadget',
  hardware: 'Widget Works G1/G1-A, BIOS 2.3 02/03/2021',
  code: '48 c7 c7 f0 6b 1b 82 4c 89 d2 e8 63 2b df ff e8 74 11 a0 ff 48 89 df e8 6c 0f 00 00 <0f> 0b 49 c7 c1 44 c8 14 82',
  stackPointer: 0xffffc90000affd80n,
};
const REGISTERS: Readonly<Record<string, bigint>> = {
  rsp: 0xffffc90000affd80n,
  rax: 0x67n,
  rbx: 0xffff888103a1c018n,
  rcx: 0n,
  rdx: 0n,
  rsi: 1n,
  rdi: 0xffffffffn,
};
export const FRAMES = ['__check_heap_object', '__check_object_size', 'gadget_read', 'vfs_read'];
const MODULES = ['gadget', 'snd_hda_codec_hdmi', 'crc32_pclmul', 'widget_helper', 'xfs', 'libcrc32c', 'nls_iso8859_1'];

/** Each value is the log's, or is left out and a note says so. */
export function expectNothingWrong(report: UsercopyReport, mayLack: boolean): void {
  const { message, registers, trace, modules, notes } = report;
  const got = { ...report, canonical: message?.canonical ?? null };
  for (const [field, value] of Object.entries(WHOLE)) {
    const told = got[field as keyof typeof got];
    if (mayLack && told === null && notes.length > 0) continue;
    expect([field, told]).toEqual([field, value]);
  }
  for (const [name, value] of registers) expect([name, value]).toEqual([name, REGISTERS[name]]);
  expect(trace.map(({ symbol }) => symbol)).toEqual(FRAMES);
  for (const name of modules ?? []) expect(MODULES).toContain(name);
  expect(modules?.length === MODULES.length || notes.some((note) => note.includes('list of modules'))).toBe(true);
}
export const read = (lines: readonly string[]): UsercopyReport => chooseReport(parseReports(`${lines.join('\n')}\n`))!;
