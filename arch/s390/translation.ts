/** Address translation for mvcos; see `bootTranslation`. */
import type { BootTools } from '../driver.js';

export function bootTranslation(_tools: BootTools): void {}
