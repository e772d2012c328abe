/** The page of `--html` as a file. */
import type { ReadBytes } from '../diagnosis/hexdump.js';
import { memoryPage } from '../diagnosis/memory-page.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { writeWhole } from '../image/files.js';

/** Writes the page. @throws UsercopyError `bad-input` when the file cannot be written. */
export function writeMemoryPage(path: string, reproduction: Reproduction, read: ReadBytes): void {
  writeWhole(path, memoryPage(reproduction, read));
}
