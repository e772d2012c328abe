/** mips: little-endian kernels of 32 and of 64 bits. */
import type { ArchDriver } from '../driver.js';
import { mips64el } from './mips64el.js';
import { mipsel } from './mipsel.js';

export const mips: ArchDriver = { linuxArch: 'mips', variants: [mips64el, mipsel] };
