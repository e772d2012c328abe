/** Lines that only a kernel writes, wherever they stand in a line of a log: what stands before them is the log's prefix. */

/**
 * Beginnings of such lines. The first group of the whole is empty: the match begins where the kernel's own text does.
 * The message is asked for first, since its prefix is the one that counts.
 */
const MESSAGE =
  /(?:\b(?:usercopy|PAX|grsec): |\bBad or missing usercopy whitelist\? )(?:From [\d.:a-f]{3,45}: )?kernel memory (?:exposure|overwrite|leak) attempt?\b/i;
const OTHERS =
  /(?<!-)-{8,}\[ ?cut here ?\]-|\b[kK]ernel BUG at [^\s!]{1,300}(?::\d{1,7}| ?\[verbose)|\bWARNING: CPU: \d{1,5} PID: |(?:\bOops: )?\binvalid opcode: 0000 \[#|\bInternal error: (?:Oops|BRK|kernel BUG)|\bCPU: \d{1,5} (?:UID: \d{1,10} )?PID: \d{1,10} Comm: |\bHardware name: |\bCall [Tt]race:|\bModules linked in:|---\[ end trace [0-9a-f]{16} \]---/;

/** Where the usercopy message begins in a line; null where it does not. */
export function messageStart(line: string): number | null {
  // The cheap question first: most lines of a log have no such word.
  if (!/ernel memory /i.test(line)) return null;
  return MESSAGE.exec(line)?.index ?? null;
}

/** Where the kernel's own text begins in a line that no other program writes; null where nothing tells. */
export function kernelStart(line: string): number | null {
  return messageStart(line) ?? OTHERS.exec(line)?.index ?? null;
}

/** Whether a text speaks of usercopy as a kernel does. */
export const looksLikeKernel = (text: string): boolean =>
  messageStart(text) !== null || /\busercopy\.c:\d|\busercopy_(?:abort|warn)\b|\b__check_object_size\b/.test(text);

/** A mail's header, or a title. */
export const isHeader = (text: string): boolean =>
  /^(?:Subject|Re|Fwd?|AW|WG|Title|Summary|Topic|Thread-Topic)\s{0,3}:/i.test(text);
