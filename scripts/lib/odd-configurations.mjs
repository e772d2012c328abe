/** Configurations that users have and the plain kernels do not: which kernel or machine judged each, or why none did. */

/** `option`: what a judged kernel's configuration has; `machine`: what a machine was booted as (boot-configurations.mjs); `why`: where neither is. */
const ODD = [
  { what: 'frame pointers on x86_64 (UNWINDER_FRAME_POINTER)', option: 'FRAME_POINTER', variant: 'x86_64' },
  { what: 'the SLAB allocator', option: 'SLAB' },
  { what: 'objects of KFENCE', option: 'KFENCE-judged', machine: 'kfence' },
  { what: 'PREEMPT_RT', option: 'PREEMPT_RT' },
  { what: 'LPAE on arm', option: 'ARM_LPAE' },
  {
    what: 'Thumb-2 kernels of arm (THUMB2_KERNEL)',
    option: 'THUMB2_KERNEL',
    why: 'Debian builds arm kernels as ARM code; a guest of Thumb-2 code, and a replay of its dump, is refused',
  },
  { what: '16 KiB pages', option: 'ARM64_16K_PAGES' },
  { what: '64 KiB pages on powerpc', option: 'PPC_64K_PAGES' },
  {
    what: '64 KiB pages on arm64',
    option: 'ARM64_64K_PAGES',
    why: 'Debian has 4 and 16 KiB; `usercopy kernel build` builds none of arm64. Their page tables are judged by hand (test/dump/paging.test.ts)',
  },
  { what: 'signed return addresses on arm64 (ARM64_PTR_AUTH_KERNEL)', machine: 'max' },
  {
    what: "KASAN's tags in pointers of arm64, by software (KASAN_SW_TAGS) or hardware (KASAN_HW_TAGS, which needs MTE)",
    options: ['KASAN_SW_TAGS', 'KASAN_HW_TAGS'],
    why: 'the configurations of Debian that were read (7.3.4, x86_64 and arm64) set no KASAN; with MTE and without KASAN_HW_TAGS the kernel tags no pointer of its own',
  },
  {
    what: 'kernels that Clang compiled',
    option: 'CC_IS_CLANG',
    why: 'Debian and `usercopy kernel build` compile with GCC',
  },
  { what: '5-level paging', machine: 'plain', variant: 'x86_64' },
  { what: '4-level paging', machine: 'four-levels' },
  { what: 'NUMA', machine: 'numa' },
  { what: 'RAM above 4 GiB', machine: 'high' },
  { what: 'more than 4 GiB of struct pages, and holes that memory hotplug leaves', machine: 'hotplug' },
];

const hasOption = (row, options) => options.some((option) => row.options?.split(' ').includes(option));

/** Whether the kernel itself was asked. */
const isAsked = ({ lkdtm, dumps, error = null }) => error === null && Boolean(lkdtm || dumps);

/** `[what, by what it was judged, else why not]` of each. */
export function oddConfigurations(rows) {
  return ODD.map(({ what, option, options = [option], machine, variant, why = 'it could be judged, and was not' }) => {
    const ofVariant = rows.filter((row) => variant === undefined || row.variant === variant);
    const kernels = ofVariant.filter((row) => isAsked(row) && hasOption(row, options));
    const booted = ofVariant.filter((row) => Object.values(row.booted ?? {}).some((one) => one.machine === machine));
    const by = [
      ...kernels.map((row) => `${row.variant} ${row.release}`),
      ...booted.map((row) => `${row.variant} ${row.release}, booted`),
    ];
    return [what, by.length === 0 ? `no: ${why}` : by.join('; ')];
  });
}
