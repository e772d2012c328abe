/** Machines of Unicorn under the names of dumpers, which no variant stands for (`dumperName` of the others). The C library's reader has the same names (native/library/snapshot.cc). */
export const machinesWithoutVariant: Readonly<
  Record<string, { readonly arch: string; readonly mode: readonly string[] }>
> = {
  arm64be: { arch: 'ARM64', mode: ['BIG_ENDIAN'] },
  armlethumb: { arch: 'ARM', mode: [] },
  armbe: { arch: 'ARM', mode: ['BIG_ENDIAN'] },
  armbethumb: { arch: 'ARM', mode: ['BIG_ENDIAN'] },
  mips: { arch: 'MIPS', mode: ['BIG_ENDIAN'] },
  mipsel: { arch: 'MIPS', mode: [] },
};
