export function namesIn(header: string): Readonly<Record<string, string>> | null;
export function withOwnHeader(text: string): string;
export function withMemoryAtHand(text: string, memory: string): string;
