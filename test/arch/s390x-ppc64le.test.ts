import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variants } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import { Guest } from '../../src/guest/guest.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { debianKernel, judgesAsWeDo } from '../debian-kernel.js';

const RELEASES = { s390x: '6.1.0-50-s390x', ppc64le: '6.1.0-50-powerpc64le' } as const;
/** s390 inlines copy_to_user() down to the raw routine. */
const COPY_TO_USER = { s390x: 'raw_copy_to_user', ppc64le: '_copy_to_user' } as const;

const COPIES = 100_000;

/** The judge is the kernel's own code, run in the guest. */
describe.each(['s390x', 'ppc64le'] as const)("Debian's %s kernel", (variant) => {
  let kernel: Kernel | string;
  let guest: Guest | null = null;
  beforeAll(async () => {
    kernel = await debianKernel(variant, RELEASES[variant]);
    if (typeof kernel !== 'string') guest = await Guest.create(kernel);
  });
  afterAll(() => guest?.close());

  it('has types by its release alone', (context) => {
    if (typeof kernel === 'string') return context.skip(kernel);
    expect(kernel.types?.source).toBe('table');
  });

  it.for([1, 64, 5000, 20_000])('really copies %i bytes to user memory and back', async (size, context) => {
    if (guest === null) return context.skip(String(kernel));
    const { memory, user } = guest;
    const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + 3) & 0xff);
    const source = memory.allocate(65_536n) + 100n;
    const target = memory.allocate(65_536n) + 9n;
    memory.write(source, bytes);
    const there = await guest.call(COPY_TO_USER[variant], [user.address + 33n, source, BigInt(size)]);
    expect(there).toMatchObject({ kind: 'returned', value: 0n });
    expect(Buffer.from(memory.read(user.address + 33n, size)).equals(bytes)).toBe(true);
    const back = await guest.call('_copy_from_user', [target, user.address + 33n, BigInt(size)]);
    expect(back).toMatchObject({ kind: 'returned', value: 0n });
    expect(Buffer.from(memory.read(target, size)).equals(bytes)).toBe(true);
  });

  it('is stopped before a raw copy out of its text, when every copy is judged', async (context) => {
    if (guest === null) return context.skip(String(kernel));
    const attachment = await attach(guest.engine, guest.kernel, { judge: 'all', memory: guest.check });
    try {
      const text = guest.symbol('_stext') + 64n;
      guest.memory.write(guest.user.address, new Uint8Array(32));
      const outcome = await guest.call(COPY_TO_USER[variant], [guest.user.address, text, 32n]);
      expect(outcome.kind).toBe('stopped');
      expect(attachment.violations.at(-1)?.message).toBe(
        'usercopy: Kernel memory exposure attempt detected from kernel text (offset 64, size 32)!',
      );
      expect(guest.memory.read(guest.user.address, 32)).toEqual(new Uint8Array(32));
    } finally {
      attachment.detach();
    }
  });

  judgesAsWeDo(() => kernel, { copies: COPIES });
});

describe('powerpc', () => {
  const entryOffset = (bytes: number[]) =>
    variants.find(({ name }) => name === 'ppc64le')!.entryOffset!(Uint8Array.from(bytes));

  it('takes the local entry to be behind the two instructions that compute the TOC', () => {
    // addis r2,r12,0x127; addi r2,r2,-0x5280, as GCC begins an ELFv2 function
    expect(entryOffset([0x27, 0x01, 0x4c, 0x3c, 0x80, 0xad, 0x42, 0x38])).toBe(8n);
  });

  it('takes a function without them to have one entry', () => {
    // mflr r0; std r0,16(r1)
    expect(entryOffset([0xa6, 0x02, 0x08, 0x7c, 0x10, 0x00, 0x01, 0xf8])).toBe(0n);
  });
});
