import type { ArchDriver } from '../driver.js';
import { ppc } from './ppc.js';
import { ppc64 } from './ppc64.js';
import { ppc64le } from './ppc64le.js';

export const powerpc: ArchDriver = { linuxArch: 'powerpc', variants: [ppc, ppc64, ppc64le] };
