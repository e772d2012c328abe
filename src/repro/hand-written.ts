/** Whether a text that carries no mark is a scenario that a person wrote: its expectations quote the kernel's lines. */
import { UsercopyError } from '../errors.js';

export const A_SCENARIO = 'a scenario of usercopy run';

/** Characters; `parseScenario` reads no more. */
export const LONGEST_SCENARIO = 1 << 20;

/** `guest` as a key with keys in it: what people write of their guest stands on its line. */
const GUEST = /^(?:["']?guest["']?:[ \t]*(?:#[^\n]*)?\r?\n[ \t]+["']?\w+["']?:|["']?guest["']?:[ \t]*\{)/m;
const GUEST_OF_JSON = /^\s*\{(?=[\s\S]*"guest"\s*:\s*\{)/;

/** Whether it is worth reading: by its first characters. */
export const mayBeScenario = (head: string): boolean => GUEST.test(head) || GUEST_OF_JSON.test(head);

/** What `usercopy run` would play is one. Anything else may be a report with headings like a scenario's keys. */
export async function isScenario(text: string): Promise<boolean> {
  if (text.length > LONGEST_SCENARIO || !mayBeScenario(text)) return false;
  const { parseScenario } = await import('../scenario/read.js');
  try {
    parseScenario(text);
    return true;
  } catch (error) {
    if (error instanceof UsercopyError) return false;
    throw error;
  }
}
