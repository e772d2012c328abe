export function namesIn(header: string): Readonly<Record<string, string>> | null;
