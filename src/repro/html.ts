/** The page of `--html` as a file. */
import { memoryPage, type ReadBytes } from '../diagnosis/drawing.js';
import type { Reproduction } from '../diagnosis/outcome.js';
import { writeWhole } from '../image/files.js';

/** Writes the page. @throws UsercopyError `bad-input` when the file cannot be written. */
export function writeMemoryPage(path: string, reproduction: Reproduction, read: ReadBytes): void {
  writeWhole(path, memoryPage(reproduction, read));
}
