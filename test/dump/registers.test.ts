import { describe, expect, it } from 'vitest';
import { armDump } from '../../arch/arm/dump.js';
import { arm64Dump } from '../../arch/arm64/dump.js';
import { ppc64Dump } from '../../arch/powerpc/dump64.js';
import { riscv64Dump } from '../../arch/riscv/dump.js';
import { x86_64Dump } from '../../arch/x86/dump.js';
import { i386Dump } from '../../arch/x86/dump32.js';
import { parseRegisterText, registersFromNotes } from '../../src/dump/registers.js';
import { Vmcoreinfo } from '../../src/dump/vmcoreinfo.js';

const X86 = `
CPU#0
RAX=0000000000000000 RBX=0000000000000058 RCX=c0000000ffffefff RDX=0000000000000001
RSI=0000000000000058 RDI=ff114b8382922e40 RBP=0000000000001000 RSP=ff2d6d76c0013bd0
R8 =0000000000000008 R9 =ff2d6d76c0013a70 R10=0000000000000003 R11=ffffffff918d25a8
RIP=ffffffff901412b0 RFL=00000297 [--S-APC] CPL=0 II=0 A20=1 SMM=0 HLT=0
FS =0000 000000001f0133c0 00000000 00000000
GS =0000 ff114b8389600000 00000000 00000000
CR0=80050033 CR2=00000000005eaeb0 CR3=0000000001052000 CR4=00751eb0
`;

describe("QEMU's register text", () => {
  it('of x86_64 gives general registers, segment bases and control registers', () => {
    const [cpu] = parseRegisterText(X86, x86_64Dump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toMatchObject({
      rdi: 0xff11_4b83_8292_2e40n,
      r8: 8n,
      r10: 3n,
      rip: 0xffff_ffff_9014_12b0n,
      eflags: 0x297n,
      gs_base: 0xff11_4b83_8960_0000n,
      fs_base: 0x1f01_33c0n,
      cr3: 0x105_2000n,
      cr4: 0x75_1eb0n,
    });
    expect(x86_64Dump.fromRegisters(cpu!)).toEqual([{ root: 0x105_2000n, pageShift: 12, addressBits: 57 }]);
  });

  it('of arm64 gives pc, sp and x0 to x30', () => {
    const text = ` PC=ffffb31e2fd974f0 X00=ffff1cea821ec878 X01=0000000000000010
X29=ffff80000800ba90 X30=ffffb31def1e5144  SP=ffff80000800ba90
PSTATE=80000005 N--- EL1h     FPCR=00000000 FPSR=00000000`;
    const [cpu] = parseRegisterText(text, arm64Dump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toEqual({
      pc: 0xffff_b31e_2fd9_74f0n,
      x0: 0xffff_1cea_821e_c878n,
      x1: 0x10n,
      x29: 0xffff_8000_0800_ba90n,
      x30: 0xffff_b31d_ef1e_5144n,
      sp: 0xffff_8000_0800_ba90n,
      pstate: 0x8000_0005n,
    });
  });

  it('of riscv64 gives names of the ABI, the pc and satp', () => {
    const text = `
 pc       ffffffff80310352
 mepc     ffffffff8000dd54
 satp     a000500000082d22
 x0/zero  0000000000000000 x1/ra    ffffffff8034ab26 x2/sp    ff2000000030bc30 x3/gp    ffffffff81db6e50
 x4/tp    ff60000002d3aac0 x5/t0    ffffffff813719c8 x6/t1    0000000000000005 x7/t2    0000000000000010
 x8/s0    ff2000000030bca0 x27/s11  000000000000044a
 f0/ft0   0000000000000000 f1/ft1   0000000000000000`;
    const [cpu] = parseRegisterText(text, riscv64Dump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toEqual({
      pc: 0xffff_ffff_8031_0352n,
      satp: 0xa000_5000_0008_2d22n,
      ra: 0xffff_ffff_8034_ab26n,
      sp: 0xff20_0000_0030_bc30n,
      gp: 0xffff_ffff_81db_6e50n,
      tp: 0xff60_0000_02d3_aac0n,
      t0: 0xffff_ffff_8137_19c8n,
      t1: 5n,
      t2: 0x10n,
      s0: 0xff20_0000_0030_bca0n,
      s11: 0x44an,
    });
    expect(riscv64Dump.fromRegisters(cpu!)).toEqual([{ root: 0x82d2_2000n, pageShift: 12, addressBits: 57 }]);
  });

  it('of i386 gives the 32-bit names, and the base of %fs', () => {
    const text = `
CPU#0
EAX=c1184ffe EBX=00000002 ECX=00000001 EDX=00000002
ESI=c1184000 EDI=c1184ffe EBP=c1c8ff38 ESP=c1c8ff08
EIP=c42c6be0 EFL=00000212 [----A--] CPL=0 II=0 A20=1 SMM=0 HLT=0
FS =00d8 03029000 ffffffff 008f9300 DPL=0 DS16 [-WA]
CR0=80050033 CR2=bfbf8364 CR3=01cd1000 CR4=00000690`;
    const [cpu] = parseRegisterText(text, i386Dump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toMatchObject({
      eax: 0xc118_4ffen,
      edx: 2n,
      ecx: 1n,
      esp: 0xc1c8_ff08n,
      eip: 0xc42c_6be0n,
      eflags: 0x212n,
      fs_base: 0x302_9000n,
    });
    expect(i386Dump.fromRegisters(cpu!)).toEqual([{ root: 0x1cd_1000n, pageShift: 12, addressBits: 32 }]);
    expect(i386Dump.fromRegisters(new Map([...cpu!, ['cr4', 0x6b0n]]))[0]?.format).toBe('pae');
    expect(i386Dump.fromRegisters(new Map([['cr3', 0x1cd_1000n]]))).toHaveLength(2);
  });

  it('of arm names r13 to r15 by their jobs', () => {
    const text = `
CPU#0
R00=c1c4c000 R01=000000b5 R02=00000001 R03=00000000
R12=c0e00200 R13=c8981eb8 R14=c05fbd48 R15=c05c525c
PSR=20000013 --C- A svc32
s00=00000000 s01=00000000 d00=0000000000000000`;
    const [cpu] = parseRegisterText(text, armDump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toEqual({
      r0: 0xc1c4_c000n,
      r1: 0xb5n,
      r2: 1n,
      r3: 0n,
      r12: 0xc0e0_0200n,
      sp: 0xc898_1eb8n,
      lr: 0xc05f_bd48n,
      pc: 0xc05c_525cn,
      cpsr: 0x2000_0013n,
    });
  });

  it('of ppc64 has four registers behind one name', () => {
    const text = `
CPU#0
NIP c0000000005211f8   LR c000000000593034 CTR 0000000000000000 XER 0000000020040000 CPU#0
MSR 8000000000009033 HID0 0000000000000000  HF 2400003d iidx 1 didx 1
GPR00 c000000000592ff4 c000000004663d40 c000000001148100 c000000003425ffe
GPR12 c000000000592ee0 c000000002880000 0000000000000000 0000000000000001
CR 44000000  [ G  G  -  -  -  -  -  -  ]             RES ffffffffffffffff
 SRR0 0000000010000120  SRR1 800000000000d033    PVR 00000000004e1200 VRSAVE 0000000000000000`;
    const [cpu] = parseRegisterText(text, ppc64Dump, 'regs.txt');
    expect(Object.fromEntries(cpu!)).toMatchObject({
      0: 0xc000_0000_0059_2ff4n,
      1: 0xc000_0000_0466_3d40n,
      3: 0xc000_0000_0342_5ffen,
      13: 0xc000_0000_0288_0000n,
      15: 1n,
      pc: 0xc000_0000_0052_11f8n,
      lr: 0xc000_0000_0059_3034n,
      msr: 0x8000_0000_0000_9033n,
      cr: 0x4400_0000n,
    });
    expect(ppc64Dump.currentBase(cpu!)).toBe(0xc000_0000_0288_0000n);
  });

  it('of several CPUs gives one map each', () => {
    const cpus = parseRegisterText(`${X86}\nCPU#1\nRAX=0000000000000001 RIP=0000000000000002`, x86_64Dump, 'regs.txt');
    expect(cpus.map((cpu) => cpu.get('rax'))).toEqual([0n, 1n]);
  });

  it('of another architecture, or none, is an error that names the file', () => {
    expect(() => parseRegisterText('hello', x86_64Dump, 'regs.txt')).toThrow(
      /regs.txt: expected QEMU's "info registers" text/,
    );
  });
});

describe('the notes of a core', () => {
  it('give registers per CPU; a note that is too short gives fewer', () => {
    const data = new Uint8Array(336);
    const view = new DataView(data.buffer);
    // struct elf_prstatus of x86_64: pr_reg at 112, in the order of struct user_regs_struct.
    view.setBigUint64(112 + 8 * 14, 0xd1n, true);
    view.setBigUint64(112 + 8 * 16, 0xabcn, true);
    view.setBigUint64(112 + 8 * 19, 0x5bn, true);
    const notes = [
      { owner: 'CORE', type: 1, data },
      { owner: 'CORE', type: 1, data: data.slice(0, 112 + 8) },
    ];
    const cpus = registersFromNotes(notes, x86_64Dump, true);
    expect(cpus).toHaveLength(2);
    expect([cpus[0]!.get('rdi'), cpus[0]!.get('rip'), cpus[0]!.get('rsp')]).toEqual([0xd1n, 0xabcn, 0x5bn]);
    expect([...cpus[1]!.keys()]).toEqual(['r15']);
  });

  it('of QEMU add CR3 and the per-cpu base', () => {
    const data = new Uint8Array(440);
    const view = new DataView(data.buffer);
    // QEMUCPUState: version, size, 18 registers, 10 segments of 24 bytes, cr0 to cr4, kernel_gs_base.
    view.setBigUint64(8 + 18 * 8 + 4 * 24 + 16, 0xffff_8880_0000_0000n, true);
    view.setBigUint64(8 + 18 * 8 + 240 + 3 * 8, 0x1234_5000n, true);
    const [cpu] = registersFromNotes([{ owner: 'QEMU', type: 0, data }], x86_64Dump, true);
    expect([cpu!.get('gs_base'), cpu!.get('cr3')]).toEqual([0xffff_8880_0000_0000n, 0x1234_5000n]);
    expect(x86_64Dump.currentBase(cpu!)).toBe(0xffff_8880_0000_0000n);
  });
});

describe('VMCOREINFO', () => {
  it('gives symbols, signed and hexadecimal numbers, and nothing for what is malformed', () => {
    const notes = new Vmcoreinfo(
      Buffer.from(
        'OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff8fe00000\nNUMBER(phys_base)=-165675008\n' +
          'NUMBER(VA_BITS)=48\nNUMBER(kimage_voffset)=0xffffb31def800000\nSYMBOL(x)=zz\nNUMBER(y)=1e9\nrubbish\n' +
          'KERNELOFFSET=ee00000\n\0\0\0',
      ),
    );
    expect(notes.text('OSRELEASE')).toBe('6.1.0');
    expect(notes.symbol('_stext')).toBe(0xffff_ffff_8fe0_0000n);
    expect(notes.number('phys_base')).toBe(-165675008n);
    expect(notes.number('kimage_voffset')).toBe(0xffff_b31d_ef80_0000n);
    expect(notes.kernelOffset).toBe(0xee0_0000n);
    expect([notes.symbol('x'), notes.number('y'), notes.text('rubbish')]).toEqual([undefined, undefined, undefined]);
    expect(x86_64Dump.imageOffsetFromNotes(notes, 0n)).toBe(0xffff_ffff_89e0_0000n);
  });
});
