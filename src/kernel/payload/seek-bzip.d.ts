/** The part of `seek-bzip` that is used; it comes without types. */
declare module 'seek-bzip' {
  const bunzip: {
    decode(input: Uint8Array, output: { writeByte(byte: number): void; flush(): void }, multistream?: boolean): void;
  };
  export default bunzip;
}
