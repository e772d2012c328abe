/** The part of `lzma1` that is used; its own types are TypeScript sources, which a strict compiler would check (tsconfig.json names this file instead). */
export function decompress(bytes: Uint8Array): ArrayLike<number>;
