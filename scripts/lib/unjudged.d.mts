export interface JudgedRow {
  readonly variant: string;
  readonly profile?: string;
  readonly lkdtm?: string;
  readonly dumps?: string;
  readonly error?: string | null;
  readonly options?: string;
  /** How many copies a kernel was judged by whose check is off. */
  readonly off?: string;
  /** Whether the kernel was built without the check. */
  readonly unchecked?: boolean;
}

export interface Unjudged {
  readonly profiles: readonly { readonly name: string; readonly kernels: string; readonly reason: string }[];
  readonly switches: readonly { readonly profile: string; readonly name: string; readonly reason: string }[];
}

export function unjudged(rows: readonly JudgedRow[]): Unjudged;
