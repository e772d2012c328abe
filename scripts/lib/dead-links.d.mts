export function pagesOf(site: string): string[];
export function deadLinks(site: string, except?: readonly string[]): string[];
