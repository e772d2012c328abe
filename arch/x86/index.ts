import type { ArchDriver } from '../driver.js';
import { i386 } from './i386.js';
import { x86_64 } from './x86_64.js';

export const x86: ArchDriver = { linuxArch: 'x86', variants: [x86_64, i386] };
