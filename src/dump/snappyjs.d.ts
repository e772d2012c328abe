/** The part of `snappyjs` that is used; it comes without types. */
declare module 'snappyjs' {
  const snappy: { uncompress(packed: Uint8Array, limit: number): Uint8Array };
  export default snappy;
}
