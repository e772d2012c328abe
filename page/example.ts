/** A report as a kernel of 6.1 prints it, made up. */
export const EXAMPLE = `[  412.702211] usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-192' (offset 82, size 1024)!
[  412.702240] ------------[ cut here ]------------
[  412.702242] kernel BUG at mm/usercopy.c:102!
[  412.702251] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[  412.702257] CPU: 2 PID: 4117 Comm: report-reader Tainted: G           OE      6.1.0-50-amd64 #1  Debian 6.1.176-1
[  412.702261] Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014
[  412.702265] RIP: 0010:usercopy_abort+0x75/0x77
[  412.702272] RSP: 0018:ffffb0a1c0b8fd48 EFLAGS: 00010246
[  412.702275] RAX: 0000000000000068 RBX: ffff9c2fc4a3b052 RCX: 0000000000000000
[  412.702277] RDX: 0000000000000000 RSI: ffffffff9c7442a3 RDI: 00000000ffffffff
[  412.702279] RBP: 0000000000000400 R08: 0000000000000000 R09: ffffb0a1c0b8fbf0
[  412.702281] R10: 0000000000000003 R11: ffffffff9cf3d2a8 R12: 0000000000000001
[  412.702283] R13: ffff9c2fc4a3b452 R14: ffff9c2fc4a3b052 R15: 0000000000000400
[  412.702290] Call Trace:
[  412.702293]  <TASK>
[  412.702296]  __check_heap_object+0xe3/0x120
[  412.702301]  __check_object_size+0x1d1/0x200
[  412.702306]  sensor_read+0x6a/0xb0 [sensor_hub]
[  412.702312]  vfs_read+0xa8/0x300
[  412.702316]  ksys_read+0x63/0xf0
[  412.702319]  do_syscall_64+0x58/0xc0
[  412.702323]  entry_SYSCALL_64_after_hwframe+0x64/0xce
[  412.702330]  </TASK>
[  412.702332] Modules linked in: sensor_hub(OE) snd_hda_intel e1000e
[  412.702345] ---[ end trace 0000000000000000 ]---
`;
