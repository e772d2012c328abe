export interface FoundLibrary {
  readonly version: string | null;
  readonly include: string | null;
  readonly lib: string;
  readonly library: string;
  readonly glibc: string | null;
  readonly lacks: readonly string[] | null;
  readonly problem: string | null;
}
export const OLDEST: string;
export function lookIn(prefix: string, addon?: string): FoundLibrary | null;
export function lookAt(include: string, lib: string): FoundLibrary | null;
