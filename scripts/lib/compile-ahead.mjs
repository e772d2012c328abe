/**
 * Runs the command line once, explaining a report, and keeps what V8 compiled for it in `build/cli/programs.code`: it is read in place of
 * compiling the same again at every start. It is of this Node.js alone.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CODE_AHEAD, compilePrograms } from '../../build/cli/start.js';

const REPORT = `usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 8, size 100)!
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:102!
invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-50-amd64 #1  Debian 6.1.176-1
RIP: 0010:usercopy_abort+0x75/0x77
Code: 49 0f 45 f3 e8 4d 5e ff ff <0f> 0b 48 89 f1
RAX: 0000000000000065 RBX: ffff888004001008 RCX: 0000000000000000
RDX: 0000000000000000 RSI: 0000000000000000 RDI: 0000000000000000
RBP: 0000000000000064 R08: 0000000000000000 R09: 0000000000000000
R10: 0000000000000000 R11: 0000000000000000 R12: 0000000000000064
R13: 0000000000000001 R14: ffff88800400106c R15: 0000000000000000
Call Trace:
 <TASK>
 __check_heap_object+0xd3/0x100
 __check_object_size+0x16e/0x290
 simple_read_from_buffer+0x4a/0x80
 vfs_read+0xa4/0x300
 ksys_read+0x6c/0xf0
 do_syscall_64+0x58/0x80
 entry_SYSCALL_64_after_hwframe+0x6e/0xd8
 </TASK>
---[ end trace 0000000000000000 ]---
`;

const folder = mkdtempSync(join(tmpdir(), 'usercopy-'));
try {
  const log = join(folder, 'report.log');
  writeFileSync(log, REPORT);
  const { script, programs } = compilePrograms();
  const { runProgram } = await programs.program();
  await runProgram('0', ['repro', '--report', log]);
  // Whole or not at all: V8 does not look whether it is.
  writeFileSync(`${CODE_AHEAD}.new`, script.createCachedData());
  renameSync(`${CODE_AHEAD}.new`, CODE_AHEAD);
} finally {
  rmSync(folder, { recursive: true });
}
// The report's own says that a copy was refused.
process.exitCode = 0;
