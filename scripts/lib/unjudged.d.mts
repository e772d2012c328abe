export interface JudgedRow {
  readonly variant: string;
  readonly profile?: string;
  readonly lkdtm?: string;
  readonly error?: string | null;
  readonly options?: string;
}

export interface Unjudged {
  readonly profiles: readonly { readonly name: string; readonly kernels: string }[];
  readonly switches: readonly { readonly profile: string; readonly name: string }[];
}

export function unjudged(rows: readonly JudgedRow[]): Unjudged;
