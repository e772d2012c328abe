/** How makedumpfile packs a page (`page_desc.flags`): each page on its own, into exactly one block. */
import { ZSTDDecoder } from 'zstddec/stream';
import { badInput, hex, UsercopyError } from '../errors.js';
import { decodeBlock } from '../kernel/payload/lzo.js';
import type { Zlib } from '../kernel/payload/zlib.js';

/** DUMP_DH_COMPRESSED_* of makedumpfile's diskdump_mod.h. */
const ZLIB = 0x1;
const LZO = 0x2;
const SNAPPY = 0x4;
const ZSTD = 0x20;
const PACKED = ZLIB | LZO | SNAPPY | ZSTD;

/** Unpacks one page of `size` bytes; `where` names it in errors. */
export type PageCodec = (packed: Uint8Array, flags: number, size: number, where: string) => Uint8Array;

/** The codec of a dump; zstd's decoder has to be set up first. */
export async function openPageCodec(zlib: Zlib): Promise<PageCodec> {
  const zstd = new ZSTDDecoder();
  await zstd.init();
  const { default: snappy } = await import('snappyjs');
  return (packed, flags, size, where) => {
    const page = unpack(packed, flags & PACKED, size, where, { snappy, zlib, zstd });
    if (page.length !== size) throw badInput(where, `a page of ${size} bytes`, `${page.length}`);
    return page;
  };
}

interface Libraries {
  readonly snappy: typeof import('snappyjs').default;
  readonly zlib: Zlib;
  readonly zstd: ZSTDDecoder;
}

function unpack(
  packed: Uint8Array,
  kind: number,
  size: number,
  where: string,
  { snappy, zlib, zstd }: Libraries,
): Uint8Array {
  try {
    switch (kind) {
      case 0:
        return packed;
      case ZLIB: {
        const page = zlib.inflate(packed, size);
        if (page === null) throw new Error('more than that');
        return page;
      }
      case LZO: {
        const page = new Uint8Array(size);
        decodeBlock(packed, page);
        return page;
      }
      case SNAPPY:
        return snappy.uncompress(packed, size);
      case ZSTD:
        return zstd.decode(packed, size);
      default:
        throw badInput(where, 'a page packed by zlib, lzo, snappy or zstd', `flags ${hex(kind)}`);
    }
  } catch (error) {
    if (error instanceof UsercopyError && kind !== LZO) throw error;
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw badInput(where, `a page that unpacks to ${size} bytes`, `corrupt data (${why})`);
  }
}
