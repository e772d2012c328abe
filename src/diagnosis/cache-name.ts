/** What the name of a slab cache tells: kmalloc caches carry their object size. */
import type { KernelVersion } from '../kernel/kernel.js';

export interface CacheFacts {
  /** Bytes of an object; null where the name does not say. */
  readonly objectSize: bigint | null;
  /**
   * Whether user copies may touch the whole object: kmalloc caches are made so (4.16 on). `unknown`: an unnamed cache's
   * window is not in its name.
   */
  readonly window: 'whole object' | 'none' | 'unknown';
  /** Part of the name that is the memory cgroup's: `(1234:session.scope)` on kernels before 5.9 (as remembered). */
  readonly cgroup: string | null;
}

/** kmalloc-64, kmalloc-1k, kmalloc-rcl-2k, kmalloc-cg-96, dma-kmalloc-512, kmalloc-rnd-05-64 (6.6 on), and before 3.x size-64. */
const KMALLOC = /^(dma-)?(?:kmalloc-(?:rcl-|cg-|rnd-\d{2}-)?|size-)(\d{1,8})([kM])?(?:\(DMA\))?$/;
/** kmem_buckets_create(): caches of one caller, by size (6.11 on, as remembered). */
const BUCKETS = /^(?:memdup_user|msg_msg)-(\d{1,8})([kM])?$/;
const UNITS: Readonly<Record<string, bigint>> = { k: 1n << 10n, M: 1n << 20n };

/** `version` is the kernel's, null where it is not told. */
export function cacheFacts(name: string, version: KernelVersion | null = null): CacheFacts {
  const cgroup = /\(\d{1,10}:[^)]*\)$/.exec(name)?.[0] ?? null;
  const plain = cgroup === null ? name : name.slice(0, -cgroup.length);
  const kmalloc = KMALLOC.exec(plain);
  if (kmalloc !== null) {
    const [, kind, size = '0', unit = ''] = kmalloc;
    const objectSize = BigInt(size) * (UNITS[unit] ?? 1n);
    // Those for DMA have a window since 49f2d2419d60 ("usercopy: mark dma-kmalloc caches as usercopy caches", 5.8).
    const windowless = version !== null && (version.major < 5 || (version.major === 5 && version.minor < 8));
    const window =
      kind === undefined ? 'whole object' : version === null ? 'unknown' : windowless ? 'none' : 'whole object';
    return { objectSize, window, cgroup };
  }
  const bucket = BUCKETS.exec(plain);
  if (bucket !== null) {
    const [, size = '0', unit = ''] = bucket;
    return { objectSize: BigInt(size) * (UNITS[unit] ?? 1n), window: 'whole object', cgroup };
  }
  return { objectSize: null, window: 'unknown', cgroup };
}
