/** How makedumpfile packs a page (`page_desc.flags`): each page on its own, into exactly one block. */
import { inflateSync } from 'node:zlib';
import { ZSTDDecoder } from 'zstddec';
import { badInput, UsercopyError } from '../errors.js';
import { decodeBlock } from '../kernel/payload/lzo.js';

/** DUMP_DH_COMPRESSED_* of makedumpfile's diskdump_mod.h. */
const ZLIB = 0x1;
const LZO = 0x2;
const SNAPPY = 0x4;
const ZSTD = 0x20;
const PACKED = ZLIB | LZO | SNAPPY | ZSTD;

/** The part of `snappyjs` that is used; it comes without types. */
interface Snappy {
  uncompress(packed: Uint8Array, limit: number): Uint8Array;
}

/** Unpacks one page of `size` bytes; `where` names it in errors. */
export type PageCodec = (packed: Uint8Array, flags: number, size: number, where: string) => Uint8Array;

/** The codec of a dump; zstd's decoder has to be set up first. */
export async function openPageCodec(): Promise<PageCodec> {
  const zstd = new ZSTDDecoder();
  await zstd.init();
  const name = 'snappyjs';
  const snappy = ((await import(name)) as { default: Snappy }).default;
  return (packed, flags, size, where) => {
    const page = unpack(packed, flags & PACKED, size, where, { snappy, zstd });
    if (page.length !== size) throw badInput(where, `a page of ${size} bytes`, `${page.length}`);
    return page;
  };
}

interface Libraries {
  readonly snappy: Snappy;
  readonly zstd: ZSTDDecoder;
}

function unpack(
  packed: Uint8Array,
  kind: number,
  size: number,
  where: string,
  { snappy, zstd }: Libraries,
): Uint8Array {
  try {
    switch (kind) {
      case 0:
        return packed;
      case ZLIB:
        return inflateSync(packed, { maxOutputLength: size });
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
        throw badInput(where, 'a page packed by zlib, lzo, snappy or zstd', `flags 0x${kind.toString(16)}`);
    }
  } catch (error) {
    if (error instanceof UsercopyError && kind !== LZO) throw error;
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw badInput(where, `a page that unpacks to ${size} bytes`, `corrupt data (${why})`);
  }
}
