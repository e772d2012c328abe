export interface FoundLibrary {
  readonly version: string;
  readonly include: string;
  readonly lib: string;
  readonly library: string;
  readonly glibc: string | null;
  readonly lacks: readonly string[];
  readonly problem: string | null;
}
export const OLDEST: string;
export function lookIn(prefix: string): FoundLibrary | null;
export function lookAt(include: string, lib: string): FoundLibrary | null;
