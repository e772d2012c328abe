export interface ConfigurationRow {
  readonly variant: string;
  readonly release: string;
  readonly lkdtm?: string;
  readonly dumps?: string;
  readonly error?: string | null;
  readonly options?: string;
  readonly booted?: Readonly<Record<string, { readonly machine: string }>>;
}

export function oddConfigurations(rows: readonly ConfigurationRow[]): readonly (readonly [string, string])[];
