import type { ArchDriver } from '../driver.js';
import { sparc } from './sparc.js';
import { sparc64 } from './sparc64.js';

export const sparcDriver: ArchDriver = { linuxArch: 'sparc', variants: [sparc, sparc64] };
