export interface Machine {
  readonly arch: string;
  readonly glibc: string | null;
  readonly littleEndian: boolean;
}
export function compareVersions(left: string, right: string): number;
export function glibcHere(): string | null;
export function examineUnicorn(
  file: string,
  here?: Machine,
): { readonly problem: string | null; readonly glibc: string | null };
