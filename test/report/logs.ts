/** Logs written for the tests after the shapes that kernels print: one for each wording and each architecture's oops. */
import type { Direction } from '../../src/check/verdict.js';

export interface SampleLog {
  readonly name: string;
  readonly log: string;
  /** One entry per report in it; only what is named is held against the report. */
  readonly reports: readonly {
    readonly text: string | null;
    readonly direction?: Direction;
    readonly region?: string;
    readonly address?: bigint;
    readonly offset?: bigint;
    readonly size?: bigint | null;
    readonly bugLine?: string | null;
    readonly arch?: string | null;
    readonly release?: string | null;
    readonly comm?: string;
    readonly taint?: string;
    readonly pc?: string;
    readonly caller?: string;
    readonly registers?: Readonly<Record<string, bigint>>;
  }[];
}

const x86 = `[   10.000001] usercopy: Kernel memory exposure attempt detected from SLUB object 'widget-a' (offset 8, size 120)!
[   10.000002] ------------[ cut here ]------------
[   10.000003] kernel BUG at mm/usercopy.c:102!
[   10.000004] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[   10.000005] CPU: 2 PID: 41 Comm: two words Tainted: G        W  OE      6.5.1-test+ #3
[   10.000006] Hardware name: Example Machine/Board, BIOS 1.0 01/02/2020
[   10.000007] RIP: 0010:usercopy_abort+0x6c/0x80
[   10.000008] Code: 90 90 e8 01 02 03 04 <0f> 0b 48 89
[   10.000009] RSP: 0018:ffffc90000123a88 EFLAGS: 00010246
[   10.000010] RAX: 0000000000000061 RBX: ffff888104000008 RCX: 0000000000000000
[   10.000011] RDX: 0000000000000000 RSI: 0000000000000001 RDI: 0000000000000002
[   10.000012] RBP: 0000000000000078 R08: 0000000000000000 R09: 0000000000000000
[   10.000013] R10: 0000000000000003 R11: 0000000000000000 R12: 0000000000000001
[   10.000014] R13: ffff888104000080 R14: 0000000000000000 R15: ffff888104000008
[   10.000015] Call Trace:
[   10.000016]  <TASK>
[   10.000017]  ? die+0x36/0x90
[   10.000018]  __check_heap_object+0xe3/0x120
[   10.000019]  __check_object_size+0x1d1/0x200
[   10.000020]  widget_read+0x42/0x90 [widget]
[   10.000021]  vfs_read+0xa4/0x300
[   10.000022] RIP: 0033:0x7f0000001234
[   10.000023] RAX: ffffffffffffffda RBX: 0000000000000abc RCX: 00007f0000001234
[   10.000024]  </TASK>
[   10.000025] Modules linked in: widget(OE) other [last unloaded: gone]
[   10.000026] ---[ end trace 0000000000000000 ]---
[   10.000027] RIP: 0010:somewhere_else+0x1/0x2
`;
const x86Report = {
  text: "usercopy: Kernel memory exposure attempt detected from SLUB object 'widget-a' (offset 8, size 120)!",
  direction: 'to_user',
  region: 'widget-a',
  offset: 8n,
  size: 120n,
  bugLine: 'kernel BUG at mm/usercopy.c:102!',
  arch: 'x86_64',
  release: '6.5.1-test+',
  comm: 'two words',
  taint: 'G        W  OE',
  pc: 'usercopy_abort',
  caller: 'widget_read',
  registers: { rbx: 0xffff888104000008n, rbp: 0x78n, r13: 0xffff888104000080n, rsp: 0xffffc90000123a88n },
} as const;

/** What mailers, loggers, web pages and terminals make of the same log. */
const disguised = (name: string, change: (log: string) => string): SampleLog => ({
  name,
  log: change(x86),
  reports: [x86Report],
});
const eachLine = (change: (line: string) => string) => (log: string) =>
  log.trimEnd().split('\n').map(change).join('\n');
const bare = (line: string): string => line.replace(/^\[ *[\d.]+\] /, '');

export const sampleLogs: readonly SampleLog[] = [
  { name: 'x86_64, as dmesg prints it', log: x86, reports: [x86Report] },
  disguised('without timestamps', eachLine(bare)),
  disguised(
    'with carriage returns as ^M',
    eachLine((line) => `${line}^M`),
  ),
  disguised(
    'quoted twice in a mail',
    eachLine((line) => `> > ${line}`),
  ),
  disguised(
    'with HTML entities and tags',
    (log) =>
      `<pre>${log.replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll("'", '&#39;').replaceAll('\n', '<br/>\n')}</pre>`,
  ),
  disguised(
    'out of syslog',
    eachLine((line) => `Mar  3 04:05:06 host kernel: ${line}`),
  ),
  disguised('out of the journal, other programs between', (log) =>
    eachLine(
      (line) =>
        `2024-03-03T04:05:06.789012+01:00 host kernel: ${bare(line)}\n2024-03-03T04:05:06+01:00 host daemon[7]: CPU: 1 PID: 2 Comm: liar Not tainted 1.2.3 #4`,
    )(log),
  ),
  disguised(
    'as records of /dev/kmsg, a blank line between',
    eachLine((line) => `4,12,345678,-;${bare(line)}\n`),
  ),
  disguised(
    'with the task that printed it',
    eachLine((line) => line.replace(/^(\[ *[\d.]+\])/, '$1[   T41]')),
  ),
  disguised(
    'with priorities',
    eachLine((line) => `<4>${line}`),
  ),
  disguised(
    'wrapped at 72 columns by a mailer',
    eachLine((line) => line.replace(/^(.{40,72}) (.{1,})$/, '$1\n$2')),
  ),
  disguised('as a string of JSON', (log) => JSON.stringify({ log })),
  disguised(
    'with the facility and level of dmesg -x',
    eachLine((line) => `kern  :warn  : ${line}`),
  ),
  disguised('whose message is broken before its first words end', (log) =>
    eachLine(bare)(log).replace('usercopy: Kernel memory ', 'usercopy: Kernel\nmemory '),
  ),
  disguised('with no-break spaces', (log) => log.replaceAll('  ', '\u00a0 ')),
  {
    name: 'old format, 3.10 and its x86 oops',
    log: `usercopy: kernel memory overwrite attempt detected to ffff880012345678 (widget_cache) (512 bytes)
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:72!
invalid opcode: 0000 [#1] SMP
CPU: 1 PID: 77 Comm: tool Not tainted 3.10.0-900.el7.x86_64 #1
task: ffff880011110000 ti: ffff880022220000 task.ti: ffff880022220000
RIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] __check_object_size+0x87/0x250
RSP: 0018:ffff880022223b98  EFLAGS: 00010246
RAX: 0000000000000062 RBX: ffff880012345678 RCX: 0000000000000000
Call Trace:
 [<ffffffff81300001>] widget_write+0x4d/0xb0
Code: 45 d1 48 <0f> 0b 0f 1f
RIP  [<ffffffff81234567>] __check_object_size+0x87/0x250
`,
    reports: [
      {
        text: 'usercopy: kernel memory overwrite attempt detected to ffff880012345678 (widget_cache) (512 bytes)',
        direction: 'from_user',
        region: 'widget_cache',
        address: 0xffff880012345678n,
        size: 512n,
        arch: 'x86_64',
        release: '3.10.0-900.el7.x86_64',
        pc: '__check_object_size',
        caller: 'widget_write',
        registers: { rip: 0xffffffff81234567n, rbx: 0xffff880012345678n },
      },
    ],
  },
  {
    name: 'PaX, the ancestor',
    log: 'PAX: kernel memory leak attempt detected from ffff88003a7c1000 (kmalloc-64) (4096 bytes)\nPid: 9, comm: leaker Not tainted 3.2.50-grsec #1\n',
    reports: [
      {
        text: 'PAX: kernel memory leak attempt detected from ffff88003a7c1000 (kmalloc-64) (4096 bytes)',
        direction: 'to_user',
        region: 'kmalloc-64',
        address: 0xffff88003a7c1000n,
        size: 4096n,
        bugLine: null,
        release: '3.2.50-grsec',
        comm: 'leaker',
      },
    ],
  },
  {
    name: 'a whitelist warning',
    log: `------------[ cut here ]------------
Bad or missing usercopy whitelist? Kernel memory overwrite attempt detected to SLAB object 'gadget(12:a b)' (offset 40, size 8)!
WARNING: CPU: 1 PID: 70 at mm/usercopy.c:78 usercopy_warn+0xeb/0x110
CPU: 1 PID: 70 Comm: x Not tainted 5.0.0+ #17
RIP: 0010:usercopy_warn+0xeb/0x110
`,
    reports: [
      {
        text: "Bad or missing usercopy whitelist? Kernel memory overwrite attempt detected to SLAB object 'gadget(12:a b)' (offset 40, size 8)!",
        direction: 'from_user',
        region: 'gadget(12:a b)',
        size: 8n,
        bugLine: 'WARNING: CPU: 1 PID: 70 at mm/usercopy.c:78 usercopy_warn+0xeb/0x110',
        arch: 'x86_64',
      },
    ],
  },
  {
    name: 'i386',
    log: `usercopy: Kernel memory exposure attempt detected from kmap (offset 16, size 8192)!
kernel BUG at mm/usercopy.c:102!
Oops: invalid opcode: 0000 [#1] SMP
CPU: 0 UID: 0 PID: 5 Comm: kt Not tainted 6.12.0-686-pae #1
EIP: usercopy_abort+0x79/0x88
EAX: 00000050 EBX: 00002000 ECX: 00000000 EDX: 00000006
ESI: ffb00010 EDI: c1ce0c9a EBP: cc751d40 ESP: cc751d0c
Call Trace:
 __check_object_size+0x1af/0x250
 gizmo_read+0x10/0x20
`,
    reports: [
      {
        text: 'usercopy: Kernel memory exposure attempt detected from kmap (offset 16, size 8192)!',
        region: 'kmap',
        arch: 'i386',
        release: '6.12.0-686-pae',
        pc: 'usercopy_abort',
        caller: 'gizmo_read',
        registers: { ebx: 0x2000n, esi: 0xffb00010n },
      },
    ],
  },
  {
    name: 'arm, with callers and callees in one line',
    log: `usercopy: Kernel memory exposure attempt detected from SLUB object 'thing' (offset 12, size 40)!
kernel BUG at mm/usercopy.c:99!
Internal error: Oops - BUG: 0 [#1] SMP ARM
Modules linked in:
CPU: 0 PID: 1 Comm: init Not tainted 5.15.9-armmp #1
PC is at usercopy_abort+0x80/0xa8
LR is at vprintk_emit+0xf0/0x230
pc : [<8095c3a0>]    lr : [<8017cb2c>]    psr: 60000153
sp : 810e3dc8  ip : 810e3d38  fp : 810e3dec
r10: 00000003  r9 : 811ea801  r8 : 811ea80c
Flags: nZCv  IRQs on  FIQs off  Mode SVC_32  ISA ARM  Segment none
Register r8 information: slab thing start 811ea800 pointer offset 12 size 48
Backtrace:
 usercopy_abort from __check_heap_object+0xb8/0xdc
 __check_heap_object from __check_object_size+0x120/0x1d0
 [<802e8774>] (__check_object_size) from [<80301234>] (thing_read+0x44/0x90 [thing])
 [<80301234>] (thing_read [thing]) from [<802f0000>] (vfs_read+0xb0/0x1f0)
`,
    reports: [
      {
        text: "usercopy: Kernel memory exposure attempt detected from SLUB object 'thing' (offset 12, size 40)!",
        arch: 'arm',
        release: '5.15.9-armmp',
        pc: 'usercopy_abort',
        caller: 'thing_read',
        registers: { r8: 0x811ea80cn, sp: 0x810e3dc8n, r12: 0x810e3d38n },
      },
    ],
  },
  {
    name: 'arm64',
    log: `usercopy: Kernel memory overwrite attempt detected to process stack (offset 18446744073709549672, size 32)!
kernel BUG at mm/usercopy.c:101!
Internal error: Oops - BUG: 00000000f2000800 [#1] SMP
CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-1-arm64 #1
pstate: 60000005 (nZCv daif -PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : usercopy_abort+0x98/0x9c
lr : usercopy_abort+0x98/0x9c
sp : ffff80000800b840
x29: ffff80000800b850 x28: ffff1cea821ec100 x27: 0000000000000000
x11: 00000000ffffefff x10: ffffb31e31290618 x9 : ffffb31e2fb1f9fc
Call trace:
 usercopy_abort+0x98/0x9c
 __check_object_size+0x1b8/0x2e0
 thing_write+0x2d4/0x2ec
 el0_svc+0x34/0xdc
`,
    reports: [
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to process stack (offset 18446744073709549672, size 32)!',
        direction: 'from_user',
        offset: 18446744073709549672n,
        arch: 'arm64',
        pc: 'usercopy_abort',
        caller: 'thing_write',
        registers: { sp: 0xffff80000800b840n, x28: 0xffff1cea821ec100n, x9: 0xffffb31e2fb1f9fcn },
      },
    ],
  },
  {
    name: 'ppc64le',
    log: `usercopy: Kernel memory exposure attempt detected from page alloc (offset 0, size 131073)!
kernel BUG at mm/usercopy.c:102!
Oops: Exception in kernel mode, sig: 5 [#1]
LE PAGE_SIZE=64K MMU=Radix SMP NR_CPUS=2048 NUMA pSeries
CPU: 0 PID: 3 Comm: a Not tainted 6.5.0-powerpc64le #2
NIP:  c0000000005991d0 LR: c0000000005991cc CTR: 0000000000000000
REGS: c0000000148c76a0 TRAP: 0700   Not tainted  (6.5.0-powerpc64le)
MSR:  8000000000029033 <SF,EE,ME,IR,DR,RI,LE>  CR: 24002242  XER: 0000000c
GPR00: c0000000005991cc c0000000148c7940 c000000002b15a00 0000000000000069
GPR28: 0000000000000001 0000000000020001 0000000000000010 c000000010000000
NIP [c0000000005991d0] usercopy_abort+0xa0/0xb0
LR [c0000000005991cc] usercopy_abort+0x9c/0xb0
Call Trace:
[c0000000148c7940] [c0000000005991cc] usercopy_abort+0x9c/0xb0 (unreliable)
[c0000000148c79f0] [c000000000599080] __check_object_size+0x2d0/0x380
[c0000000148c7a30] [c000000000045ed4] gadget_read+0xe4/0x250
--- interrupt: c00 at 0x7fff9f17e5e4
`,
    reports: [
      {
        text: 'usercopy: Kernel memory exposure attempt detected from page alloc (offset 0, size 131073)!',
        arch: 'ppc64le',
        release: '6.5.0-powerpc64le',
        pc: 'usercopy_abort',
        caller: 'gadget_read',
        registers: { r1: 0xc0000000148c7940n, r29: 0x20001n, r31: 0xc000000010000000n },
      },
    ],
  },
  {
    name: 'ppc64 with dots before its functions, no BUG line',
    log: `usercopy: Kernel memory exposure attempt detected from SLUB object not in SLUB page?! (offset 0, size 88)!
------------[ cut here ]------------
Kernel BUG at .usercopy_abort+0x94/0x9c [verbose debug info unavailable]
Oops: Exception in kernel mode, sig: 5 [#1]
BE PAGE_SIZE=4K SMP NR_CPUS=24 CoreNet Generic
CPU: 5 PID: 8 Comm: b Not tainted 5.10.60 #0
NIP [c000000000203f38] .usercopy_abort+0x94/0x9c
Call Trace:
[c00000008d9c37e0] [c000000000203f34] .usercopy_abort+0x90/0x9c (unreliable)
[c00000008d9c38d0] [c0000000002040c0] .__check_object_size+0x180/0x1f0
[c00000008d9c3960] [80000000004244f4] .ip_get+0xb4/0x380 [ip_set]
`,
    reports: [
      {
        text: 'usercopy: Kernel memory exposure attempt detected from SLUB object not in SLUB page?! (offset 0, size 88)!',
        region: 'not in SLUB page?!',
        bugLine: 'Kernel BUG at .usercopy_abort+0x94/0x9c [verbose debug info unavailable]',
        arch: 'ppc64',
        release: '5.10.60',
        pc: 'usercopy_abort',
        caller: 'ip_get',
      },
    ],
  },
  {
    name: 's390x, broken at column 80 in the middle of words and numbers',
    log: `[   33.107545] usercopy: Kernel memory exposure attempt detected from vmalloc 'n
o area' (offset 0, size 1)!
[   33.124652] ------------[ cut here ]------------
[   33.124709] kernel BUG at mm/usercopy.c:101!
[   33.125245] monitor event: 0040 ilc:2 [#1] SMP
[   33.126314] CPU: 0 PID: 1 Comm: rm Not tainted 5.18.0+ #1
[   33.131328] Hardware name: IBM 8561 LT1 400 (z/VM 7.2.0)
[   33.132048] Krnl PSW : 0704c00180000000 0000000000a1b052 (usercopy_abort+0xa2/0xa8)
[   33.132110] Krnl GPRS: 0000000000000001 001c000018090e00 000000000000005c 000
0000000000004
[   33.132136]            0000000000a1b04e 0000037fffd1b7c0 0000000000c51e02 0000037fffd1bd00
[   33.132159]            000003ffa6e7a000 0000037fffd1c018 0000000000000001 0000000000c51e02
[   33.132180]            00000000019a3600 000003ffe9078f40 0000000000a1b04e 0000037fffd1b968
[   33.133104] Krnl Code: 0000000000a1b042: c0200010c125	larl	%r2,0000000000c3328c
[   33.133500] Call Trace:
[   33.133818]  [<0000000000a1b052>] usercopy_abort+0xa2/0xa8
[   33.133929] ([<0000000000a1b04e>] usercopy_abort+0x9e/0xa8)
[   33.133952]  [<000000000040a848>] __check_object_size+0x1d0/0x2e8
[   33.133977]  [<000003ff7fd030fc>] dir_fill+0x244/0x2f8 [xfs]
`,
    reports: [
      {
        text: "usercopy: Kernel memory exposure attempt detected from vmalloc 'n o area' (offset 0, size 1)!",
        size: 1n,
        arch: 's390x',
        release: '5.18.0+',
        pc: 'usercopy_abort',
        caller: 'dir_fill',
        registers: { r2: 0x5cn, r3: 4n, r9: 0x37fffd1c018n, r15: 0x37fffd1b968n },
      },
    ],
  },
  {
    name: 'sparc64',
    log: `usercopy: kernel memory exposure attempt detected from fff000123f4a6000 (<process stack>) (64 bytes)
kernel BUG at mm/usercopy.c:75!
              \\|/ ____ \\|/
              "@'/ .. \\\`@"
tool(123): Kernel bad sw trap 5 [#1]
CPU: 3 PID: 123 Comm: tool Not tainted 4.9.0-sparc64-smp #1
TSTATE: 0000000080001607 TPC: 0000000000571f40 TNPC: 0000000000571f44 Y: 00000000    Not tainted
TPC: <__check_object_size+0x1a0/0x2c0>
g0: 0000000000000000 g1: 0000000000000001 g2: 0000000000000000 g3: 0000000000000001
i0: fff000123f4a6000 i1: 0000000000000040 i2: 0000000000000001 i3: 0000000000000000
I7: <widget_ioctl+0x20/0x80>
Call Trace:
 [0000000000700010] widget_ioctl+0x20/0x80
`,
    reports: [
      {
        text: 'usercopy: kernel memory exposure attempt detected from fff000123f4a6000 (<process stack>) (64 bytes)',
        region: '<process stack>',
        address: 0xfff000123f4a6000n,
        arch: 'sparc64',
        release: '4.9.0-sparc64-smp',
        pc: '__check_object_size',
        caller: 'widget_ioctl',
        registers: { i0: 0xfff000123f4a6000n, i1: 0x40n },
      },
    ],
  },
  {
    name: 'ia64',
    log: `usercopy: Kernel memory overwrite attempt detected to linear kernel text (offset 7733248, size 1)!
worker_test[65]: bugcheck! 0 [1]
CPU: 6 PID: 65 Comm: worker_test Not tainted 5.10.0-6-itanium #1 Debian 5.10.28-1
psr : 00001010084a6010 ifs : 8000000000000410 ip  : [<a0000001011e06b0>]    Not tainted (5.10.0-6-itanium Debian 5.10.28-1)
ip is at usercopy_abort+0x120/0x130
r1  : a000000101a4b5d0 r2  : a0000001017e4b18 r3  : a0000001017e4b20
Call Trace:
 [<a0000001002d6390>] usercopy_abort+0x120/0x130
                                sp=e000000100757c70 bsp=e000000100751350
 [<a0000001002d6600>] __check_object_size+0x260/0x2c0
                                sp=e000000100757c70 bsp=e000000100751310
 [<a0000001006d6600>] fill_list+0x260/0x2c0
`,
    reports: [
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to linear kernel text (offset 7733248, size 1)!',
        bugLine: 'worker_test[65]: bugcheck! 0 [1]',
        arch: 'ia64',
        release: '5.10.0-6-itanium',
        pc: 'usercopy_abort',
        caller: 'fill_list',
        registers: { r3: 0xa0000001017e4b20n },
      },
    ],
  },
  {
    name: 'architectures that are only recognised: riscv, mips, arc',
    log: `usercopy: Kernel memory overwrite attempt detected to kernel text (offset 500, size 11)!
kernel BUG at mm/usercopy.c:99!
Kernel BUG [#1]
CPU: 1 PID: 1 Comm: swapper/0 Not tainted 5.8.0-1-riscv64 #1
epc: ffffffe0003b5120 ra : ffffffe0003b5120 sp : ffffffe07f783ca0
status: 0000000000000120 badaddr: 0000000000000000 cause: 0000000000000003
---[ end trace 1f8e733e834d4c3e ]---
`,
    reports: [
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to kernel text (offset 500, size 11)!',
        arch: 'riscv64',
        registers: { ra: 0xffffffe0003b5120n },
      },
    ],
  },
  {
    name: 'mips, whose BUG() names no file',
    log: `usercopy: Kernel memory overwrite attempt detected to kernel text (offset 81844, size 256)!
Kernel bug detected[#1]:
CPU: 2 PID: 1755 Comm: kexec Not tainted 5.10.43 #0
$ 0   : 00000000 00000001 0000005b 00988000
$16   : 800153b4 00000100 00000000 800154b4
epc   : 801507e8 usercopy_abort+0x94/0x98
`,
    reports: [
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to kernel text (offset 81844, size 256)!',
        bugLine: 'Kernel bug detected[#1]:',
        arch: 'mips',
        pc: 'usercopy_abort',
        registers: { $16: 0x800153b4n, $17: 0x100n },
      },
    ],
  },
  {
    name: 'arc, whose BUG() has the prefix of the file',
    log: `usercopy: Kernel memory overwrite attempt detected to kernel text (offset 155633, size 11)!
usercopy: BUG: failure at mm/usercopy.c:99/usercopy_abort()!
CPU: 0 PID: 84 Comm: init Not tainted 5.4.22
Stack Trace:
  fcntl_of_another_file+0x0/0x470
  usercopy_abort+0x8a/0x8c
  __check_object_size+0x10e/0x138
  strings_copy+0x1f4/0x38c
`,
    reports: [
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to kernel text (offset 155633, size 11)!',
        bugLine: 'usercopy: BUG: failure at mm/usercopy.c:99/usercopy_abort()!',
        arch: 'arc',
        release: '5.4.22',
        caller: 'strings_copy',
      },
    ],
  },
  {
    name: 'several reports in one log, and a bug of something else',
    log: `${x86}[   11.000000] ------------[ cut here ]------------
[   11.000001] kernel BUG at fs/inode.c:12!
[   11.000002] CPU: 0 PID: 99 Comm: other Not tainted 6.5.1-test+ #3
[   11.000003] RIP: 0010:iput+0x1/0x2
[   11.000004] ---[ end trace 0000000000000000 ]---
[   12.000000] usercopy: Kernel memory overwrite attempt detected to null address (offset 4, size 9)!
[   12.000001] ------------[ cut here ]------------
[   12.000002] kernel BUG at mm/usercopy.c:102!
`,
    reports: [
      x86Report,
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to null address (offset 4, size 9)!',
        region: 'null address',
        release: '6.5.1-test+',
        arch: 'x86_64',
        bugLine: 'kernel BUG at mm/usercopy.c:102!',
      },
    ],
  },
  {
    name: 'two tasks that crash at once, their lines mixed',
    log: `[    1.000001][  T10] usercopy: Kernel memory exposure attempt detected from vmalloc (offset 1, size 5000)!
[    1.000002][  T10] ------------[ cut here ]------------
[    1.000003][  T10] kernel BUG at mm/usercopy.c:102!
[    1.000004][  T20] usercopy: Kernel memory overwrite attempt detected to vmalloc (offset 2, size 6000)!
[    1.000005][  T20] ------------[ cut here ]------------
[    1.000006][  T20] kernel BUG at mm/usercopy.c:102!
[    1.000007][  T20] CPU: 1 PID: 20 Comm: second Not tainted 6.6.0 #1
`,
    reports: [
      { text: 'usercopy: Kernel memory exposure attempt detected from vmalloc (offset 1, size 5000)!', size: 5000n },
      {
        text: 'usercopy: Kernel memory overwrite attempt detected to vmalloc (offset 2, size 6000)!',
        size: 6000n,
        comm: 'second',
      },
    ],
  },
  {
    name: 'the message line missing, pieces of it in registers',
    log: `kernel BUG at mm/usercopy.c:102!
Internal error: Oops - BUG: 00000000f2000800 [#1] SMP
CPU: 0 PID: 33 Comm: lost Not tainted 6.2.0 #1
pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : usercopy_abort+0x90/0x94
x17: 2820636f6c6c616d x16: 76206d6f72662064 x15: 6574636574656420
x14: 74706d6574746120 x13: 0000000000000000 x12: 0000000000000001
Call trace:
 usercopy_abort+0x90/0x94
 __check_object_size+0x208/0x6b8
 lost_read+0xcc/0x2f0
`,
    reports: [
      { text: null, size: null, bugLine: 'kernel BUG at mm/usercopy.c:102!', arch: 'arm64', caller: 'lost_read' },
    ],
  },
  {
    name: 'a log without a usercopy report',
    log: 'kernel BUG at fs/inode.c:12!\nCPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nRIP: 0010:iput+0x1/0x2\n',
    reports: [],
  },
  {
    name: 'a message that is cut off',
    log: "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmall",
    reports: [
      {
        text: "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmall",
        region: 'kmall',
        size: null,
      },
    ],
  },
];
