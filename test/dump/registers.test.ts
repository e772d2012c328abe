import { describe, expect, it } from 'vitest';
import { arm64Dump } from '../../arch/arm64/dump.js';
import { x86_64Dump } from '../../arch/x86/dump.js';
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
    expect(x86_64Dump.imageOffsetFromNotes(notes)).toBe(0xffff_ffff_89e0_0000n);
  });
});
