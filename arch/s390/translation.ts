/**
 * Address spaces for mvcos, which moves bytes between the primary space (the kernel's) and the secondary one (the user's).
 * Unicorn 2.0.1 raises an exception on it while translation is off. Real-space designations turn translation on without
 * tables: in either space an address is its own real one. The guest's user memory lies outside its RAM, so both fit.
 */
import type { Engine } from '../../src/engine/engine.js';
import { BIG, Words } from '../../src/kernel/words.js';

const PSW = { DAT: 1n << 58n, EXTENDED_ADDRESSING: 1n << 32n, BASIC_ADDRESSING: 1n << 31n } as const;
const REAL_SPACE = 0x20n;
/** Secondary-space control, which mvcos asks for, and the AFP registers; then the spaces: primary, secondary, home. */
const CONTROL_REGISTERS: readonly (readonly [number: number, value: bigint])[] = [
  [0, 0x0404_0000n],
  [1, REAL_SPACE],
  [7, REAL_SPACE],
  [13, REAL_SPACE],
];

/** The same by the names that libunicorn 2.1.4 has, and 2.1.1 has not. */
export const preparedRegisters: ReadonlyMap<string, bigint> = new Map(
  CONTROL_REGISTERS.map(([number, value]) => [`cr${number}`, value]),
);

/** Where a few instructions run before anything else: far from any memory of a guest; unmapped again at once. */
const SCRATCH = 1n << 52n;
const DATA = 64;

/** 64-bit mode with translation on, in the primary space. A fresh emulator is in 24-bit mode: addresses lose bits. */
export function enterPrimarySpace(engine: Engine): void {
  const mode = PSW.EXTENDED_ADDRESSING | PSW.BASIC_ADDRESSING;
  engine.writeRegister('pswm', mode);
  loadControlRegisters(engine);
  engine.writeRegister('pswm', mode | PSW.DAT);
}

/** Unicorn 2.0.1 has no names for control registers, so the guest loads them: lctlg n,n,offset(r1). */
function loadControlRegisters(engine: Engine): void {
  const bytes = new Uint8Array(DATA + 8 * CONTROL_REGISTERS.length);
  const words = new Words(bytes, BIG);
  let end = 0;
  CONTROL_REGISTERS.forEach(([number, value], index) => {
    const offset = DATA + 8 * index;
    bytes.set([0xeb, (number << 4) | number, 0x10, offset, 0x00, 0x2f], end);
    end += 6;
    words.setUint64(offset, value);
  });
  engine.map(SCRATCH, 4096n, 'rwx');
  engine.write(SCRATCH, bytes);
  engine.writeRegister('r1', SCRATCH);
  engine.runSync({ start: SCRATCH, until: SCRATCH + BigInt(end) });
  engine.unmap(SCRATCH, 4096n);
}
