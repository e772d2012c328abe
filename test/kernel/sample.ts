/**
 * Bytes that look enough like machine code to make every branch filter of xz change something: words with the call
 * opcodes of x86, arm, powerpc, sparc and thumb among repetitive data. The files in `fixtures/` are this sample, packed
 * by the compressors' own tools (see fixtures/README.md).
 */
export function sample(): Uint8Array {
  const bytes = Buffer.alloc(40_000);
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let at = 0; at < bytes.length; at += 8) {
    switch (random(8)) {
      case 0:
        bytes[at] = 0xe8;
        bytes.writeInt32LE(random(4096) - 2048, at + 1);
        break;
      case 1:
        bytes.writeUInt32LE(0xeb000000 + random(1 << 16), at);
        break;
      case 2:
        bytes.writeUInt32BE(0x48000001 + random(1 << 16) * 4, at);
        break;
      case 3:
        bytes.writeUInt32BE(0x40000000 + random(1 << 16), at);
        break;
      case 4:
        bytes.writeUInt16LE(0xf000 + random(8), at);
        bytes.writeUInt16LE(0xf800 + random(2048), at + 2);
        break;
      default:
        bytes.write(['usercopy', 'folio   ', 'kmalloc-', '\0\0\0\0\0\0\0\0'][random(4)]!, at, 'latin1');
    }
  }
  return bytes;
}
