/**
 * Machines that users have beside the plain one: what QEMU is asked for, what the kernel is told, and which of its copies are
 * taken, so that what is judged is of that machine and not only made on it.
 */
const MIB = 1 << 20;
const GIB = 1024 ** 3;

/** Two nodes of 256 MiB with a processor each. */
const TWO_NODES = ['0', '1'].flatMap((node) => [
  ...['-object', `memory-backend-ram,id=node${node},size=256M`],
  ...['-numa', `node,nodeid=${node},cpus=${node},memdev=node${node}`],
]);

/** Objects of KFENCE lie at either end of a page: those at its end have an offset that no slab gives them. */
const KFENCE = {
  what: 'objects of KFENCE (`kfence.sample_interval=1`), at the end of their page',
  append: 'kfence.sample_interval=1 no_hash_pointers UCX_SLEEP=1000',
  wants({ pointer, log }) {
    const [, start, end] = /kfence: initialized .* at (0x[0-9a-f]+)-(0x[0-9a-f]+)/.exec(log) ?? [];
    if (start === undefined)
      throw new Error('expected the console to say where the pool of KFENCE lies, found nothing');
    return pointer >= BigInt(start) && pointer < BigInt(end) && pointer % 4096n !== 0n;
  },
};

/** By variant and name: `what` it is, the RAM in MiB, processors and options of QEMU, and which copies are taken, by where they lie. */
export const CONFIGURATIONS = {
  x86_64: {
    plain: { what: 'plain, 5-level paging' },
    'four-levels': { what: '4-level paging', options: ['-cpu', 'max,la57=off'] },
    numa: {
      what: 'two NUMA nodes, an object of the second',
      memory: 512,
      processors: 2,
      options: TWO_NODES,
      wants: ({ physical }) => physical >= BigInt(256 * MIB) && physical < BigInt(512 * MIB),
      edges: [256 * MIB, 512 * MIB],
    },
    high: {
      what: 'RAM above 4 GiB, an object there',
      memory: 3072,
      wants: ({ physical }) => physical >= BigInt(4 * GIB),
      // Below 4 GiB q35 has 2 GiB of RAM then.
      edges: [2 * GIB, 4 * GIB, 5 * GIB],
    },
    hotplug: {
      what: 'a DIMM at 384 GiB (its struct pages 6 GiB behind the first), an object there',
      memory: '256,slots=2,maxmem=400G',
      options: [
        ...['-object', 'memory-backend-ram,id=dimm,size=256M'],
        ...['-device', `pc-dimm,memdev=dimm,addr=${384 * GIB}`],
      ],
      append: 'memhp_default_state=online',
      wants: ({ physical }) => physical >= BigInt(384 * GIB),
      edges: [256 * MIB, 4 * GIB, 100 * GIB, 384 * GIB, 384 * GIB + 256 * MIB],
    },
    kfence: KFENCE,
  },
  arm64: {
    max: {
      what: 'every extension of QEMU: signed return addresses (PAC), tags (MTE), 52 bits',
      options: ['-machine', 'virt,mte=on', '-cpu', 'max,pauth-impdef=on'],
    },
    numa: {
      what: 'two NUMA nodes, an object of the second',
      memory: 512,
      processors: 2,
      options: TWO_NODES,
      // RAM begins at 1 GiB.
      wants: ({ physical }) => physical >= BigInt(GIB + 256 * MIB) && physical < BigInt(GIB + 512 * MIB),
      edges: [GIB, GIB + 256 * MIB, GIB + 512 * MIB],
    },
    kfence: KFENCE,
  },
};

/** The plain machine, or a named one of a variant's. */
export function configurationOf(variant, name) {
  const known = { plain: { what: 'plain' }, ...CONFIGURATIONS[variant] };
  if (Object.hasOwn(known, name)) return known[name];
  throw new Error(`${name}: expected a machine of ${variant} (${Object.keys(known).join(', ')})`);
}
