/** Which architecture an oops is of, by what only that one prints. */
import type { ArchSign, OopsConvention, SignStrength } from '../../arch/oops.js';

const ORDER: readonly SignStrength[] = ['registers', 'oops', 'functions', 'release', 'modules'];

export interface ArchitectureFound {
  readonly convention: OopsConvention;
  readonly variant: string;
  readonly sign: ArchSign;
}

/** Null when nothing tells it, or when two architectures have an equally strong claim. */
export function architectureOf(text: string, conventions: readonly OopsConvention[]): ArchitectureFound | null {
  for (const strength of ORDER) {
    const found = conventions.flatMap((convention) => {
      const sign = convention.signs.find(
        (candidate) => candidate.strength === strength && candidate.pattern.test(text),
      );
      const variant = sign === undefined ? null : convention.variant(text);
      return sign === undefined || variant === null ? [] : [{ convention, variant, sign }];
    });
    const [first, second] = found;
    if (first !== undefined) return second === undefined ? first : null;
  }
  return null;
}

/** What is known where the architecture is told and its variant is not; null where nothing tells either. */
export function familyOf(text: string, conventions: readonly OopsConvention[]): string | null {
  for (const { family, signs, variant } of conventions) {
    const sign = signs.find(({ pattern }) => pattern.test(text));
    if (family !== undefined && sign !== undefined && variant(text) === null) {
      return `the architecture is ${family}, told by ${sign.what}; of how many bits is not told`;
    }
  }
  return null;
}
