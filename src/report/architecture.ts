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
