/**
 * Refusals whose cause was found, in public. A pattern's parts must all fit; `kernels` are [first, before) of those that have
 * it; where a fix came between two candidates that are not known, all candidates count. `confidence` is what the pattern proves: certain where it
 * can hardly be anything else, likely where the same place can be hit by another bug, possible where the cause leaves no trace of its own.
 * See docs/causes.md.
 */
import type { Direction } from '../check/verdict.js';
import type { KnownCause } from './outcome.js';

export interface Pattern {
  /** Regular expressions; each must fit. */
  readonly cache?: string;
  readonly region?: string;
  readonly refusal?: string;
  readonly caller?: string;
  /** Any function of the call trace. */
  readonly trace?: string;
  /** Any module of the machine. */
  readonly modules?: string;
  readonly comm?: string;
  readonly variant?: string;
  readonly format?: readonly string[];
  /** Inclusive. */
  readonly offset?: readonly [from: string, to: string];
  readonly size?: readonly [from: string, to: string];
  /** Largest sum of offset and size: bytes of an object. What leaves it has another cause than a whitelist. */
  readonly end?: string;
  readonly direction?: Direction;
  /** [first, before) of the kernels that have it. */
  readonly kernels?: readonly [first: string, before: string];
  /** Regular expression for a release, where numbers do not tell it. */
  readonly release?: string;
  /** False: the message line is missing. */
  readonly message?: boolean;
}

export interface Entry extends Omit<KnownCause, 'confidence'> {
  readonly pattern: Pattern;
  /** The cache that it was about, where the message that would tell is missing. */
  readonly object?: string;
  readonly confidence: KnownCause['confidence'];
}

/** Caches of the kernel's own bookkeeping; a `*` stands for any rest. */
export const INTERNAL_CACHES: readonly string[] = [
  'Acpi-Namespace',
  'Acpi-Operand',
  'Acpi-Parse',
  'Acpi-State',
  'anon_vma',
  'anon_vma_chain',
  'avc_node',
  'avc_xperms_node',
  'bdev_cache',
  'bio-*',
  'biovec-*',
  'blkdev_ioc',
  'blkdev_queue',
  'btrfs_*',
  'buffer_head',
  'cred',
  'cred_jar',
  'debug_objects_cache',
  'dmaengine-unmap-*',
  'dnotify_mark',
  'eventpoll_epi',
  'eventpoll_pwq',
  'extent_status',
  'fasync_cache',
  'file_lock_cache',
  'file_lock_ctx',
  'files_cache',
  'filp',
  'fs_cache',
  'ftrace_event_field',
  'hugetlbfs_inode_cache',
  'inet_peer_cache',
  'inode_cache',
  'iommu_iova',
  'jbd2_*',
  'kernfs_iattrs_cache',
  'kernfs_node_cache',
  'khugepaged_mm_slot',
  'kmalloc_rcl',
  'kmem_cache',
  'kmem_cache_node',
  'kmemleak_object',
  'kmemleak_scan_area',
  'ksm_mm_slot',
  'ksm_rmap_item',
  'ksm_stable_node',
  'lsm_file_cache',
  'lsm_inode_cache',
  'maple_node',
  'mnt_cache',
  'net_namespace',
  'nsproxy',
  'numa_policy',
  'page->ptl',
  'perf_event',
  'pid',
  'pid_namespace',
  'pool_workqueue',
  'posix_timers_cache',
  'proc_dir_entry',
  'proc_inode_cache',
  'radix_tree_node',
  'request_queue',
  'seq_file',
  'sgpool-*',
  'shared_policy_node',
  'shmem_inode_cache',
  'sighand_cache',
  'signal_cache',
  'sigqueue',
  'skbuff_ext_cache',
  'skbuff_fclone_cache',
  'skbuff_head_cache',
  'sock_inode_cache',
  'task_delay_info',
  'task_group',
  'taskstats',
  'trace_event_file',
  'user_namespace',
  'uts_namespace',
  'vm_area_struct',
  'vmap_area',
  'xfs_buf',
  'xfs_ili',
];

export const CAUSES: readonly Entry[] = [
  {
    id: 'dma-kmalloc',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^dma-kmalloc-',
      format: ['new', 'whitelist warning'],
      kernels: ['4.16', '5.8'],
    },
    was: 'kmalloc caches for DMA had no whitelist at all, though their users copy like those of any kmalloc cache',
    fix: {
      commit: '49f2d2419d60',
      title: 'usercopy: mark dma-kmalloc caches as usercopy caches',
      version: '5.8',
    },
    source: 'kernel-hardening 2019-11, IUCV on s390x (SUSE bug 1156053)',
    confidence: 'certain',
  },
  {
    id: 'skbuff_small_head',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^skbuff_small_head$',
      end: '1024',
      kernels: ['6.2', '6.3'],
    },
    was: 'the new cache of small packet heads was made without a whitelist; only trees between the two commits had it',
    fix: {
      commit: '0b34d68049b0',
      title: 'net: enable usercopy for skb_small_head_cache',
      version: '6.3',
    },
    source: 'linux-next 2023-02-09',
    confidence: 'certain',
  },
  {
    id: 'io_kiocb',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^io_kiocb$',
      direction: 'from_user',
      end: '256',
      kernels: ['5.5', '6.6'],
    },
    was: "io_uring copies an open_how into the request's own area, which was not whitelisted",
    fix: {
      commit: 'b97f96e22f05',
      title: 'io_uring: annotate the struct io_kiocb slab for appropriate user copy',
      version: '6.6',
    },
    source: 'io-uring 2023-08-02',
    confidence: 'certain',
  },
  {
    id: 'dtl',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^dtl$',
      direction: 'to_user',
      end: '4096',
      variant: '^ppc64',
      kernels: ['4.16', '6.11'],
    },
    was: 'the dispatch trace log of pseries is read through debugfs out of a cache without a whitelist',
    fix: {
      commit: '1a14150e1656',
      title: 'powerpc/pseries: Whitelist dtl slub object for copying to userspace',
      version: '6.11',
    },
    source: 'linuxppc-dev 2024-06-14',
    confidence: 'certain',
  },
  {
    id: 'dtl-without-message',
    cause: 'whitelist missing or too small',
    pattern: {
      message: false,
      caller: '^dtl_file_read$',
      kernels: ['4.16', '6.11'],
    },
    was: 'the dispatch trace log of pseries is read through debugfs out of a cache without a whitelist',
    fix: {
      commit: '1a14150e1656',
      title: 'powerpc/pseries: Whitelist dtl slub object for copying to userspace',
      version: '6.11',
    },
    source: 'linuxppc-dev 2024-06-14',
    confidence: 'likely',
  },
  {
    id: 'rtas_flash',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^rtas_flash_cache$',
      direction: 'from_user',
      end: '4096',
      kernels: ['4.16', '6.5.0'],
    },
    was: 'rtas_flash writes firmware from user memory into blocks of a cache without a whitelist',
    fix: {
      commit: '4f3175979e62',
      title: 'powerpc/rtas_flash: allow user copy to flash block cache objects',
      version: '6.5',
    },
    source: 'linuxppc-dev 2023-08-01',
    confidence: 'certain',
  },
  {
    id: 'rtas_flash-without-message',
    cause: 'whitelist missing or too small',
    pattern: {
      message: false,
      caller: '^rtas_flash_write$',
      kernels: ['4.16', '6.5.0'],
    },
    was: 'rtas_flash writes firmware from user memory into blocks of a cache without a whitelist',
    fix: {
      commit: '4f3175979e62',
      title: 'powerpc/rtas_flash: allow user copy to flash block cache objects',
      version: '6.5',
    },
    source: 'linuxppc-dev 2023-08-01',
    confidence: 'likely',
  },
  {
    id: 'scsi_sense_cache',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^scsi_sense_cache',
      direction: 'to_user',
      end: '96',
      kernels: ['4.15', '4.16'],
    },
    was: 'sense data is copied to user memory out of its own cache',
    fix: {
      commit: '0afe76e88c57',
      title: 'scsi: Define usercopy region in scsi_sense_cache slab cache',
      version: '4.16',
    },
    source: 'kernel-hardening 2018-01-10',
    confidence: 'likely',
  },
  {
    id: 'cpumask',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^cpumask$',
      direction: 'to_user',
      end: '1024',
    },
    was: 'a cache of its own for cpumasks, without a whitelist, was in linux-next for a short time; sched_getaffinity() copies from it',
    fix: null,
    source: 'linux-next 2024-03-25 (next-20240325)',
    confidence: 'certain',
  },
  {
    id: 'cpumask-without-message',
    cause: 'whitelist missing or too small',
    pattern: {
      message: false,
      caller: '^(?:__(?:x64|arm64|s390x?|riscv|do|se)_)?sys_sched_getaffinity$',
      release: '-next-202403',
    },
    object: 'cpumask',
    was: 'a cache of its own for cpumasks, without a whitelist, was in linux-next for a short time; sched_getaffinity() copies from it',
    fix: null,
    source: 'linux-next 2024-03-25 (next-20240325)',
    confidence: 'likely',
  },
  {
    id: 'smbd_response',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^smbd_response',
      direction: 'to_user',
    },
    was: 'smbdirect copies received packets out of a cache that was made without a whitelist',
    fix: null,
    source: 'linux-cifs 2025-06-25',
    confidence: 'likely',
  },
  {
    id: 'fuse_request',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^fuse_request$',
      end: '512',
    },
    was: 'fuse over io_uring copies the headers inside struct fuse_req, whose cache has no whitelist',
    fix: null,
    source: 'stable 2026-07-15',
    confidence: 'likely',
  },
  {
    id: 'rds',
    cause: 'whitelist missing or too small',
    pattern: {
      caller: '^rds_(?:recvmsg|cmsg_recv)$',
      direction: 'to_user',
      kernels: ['4.16', '5.5'],
    },
    was: 'cookie and time stamp of RDS lie in a cache without a whitelist',
    fix: {
      commit: null,
      title: 'net/rds: Whitelist rdma_cookie and rx_tstamp for usercopy',
      version: '5.4',
    },
    source: 'linux-rdma 2019-08-23',
    confidence: 'likely',
  },
  {
    id: 'rseq-auxv',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^mm_struct$',
      direction: 'to_user',
      caller: '^(?:create_elf_tables|load_elf_binary|proc_pid_auxv_read|auxv_read|prctl_\\w+)$',
      kernels: ['6.2', '6.3'],
    },
    was: "two new entries of the auxiliary vector did not fit into mm_struct's saved_auxv, which is its whitelist",
    fix: {
      commit: '28c8e088427a',
      title: 'rseq: Increase AT_VECTOR_SIZE_BASE to match rseq auxvec entries',
      version: '6.3',
    },
    source: 'linux-api 2023-01-04, linux-next 2023-01-10',
    confidence: 'likely',
  },
  {
    id: 'rseq-auxv-without-message',
    cause: 'whitelist missing or too small',
    pattern: {
      message: false,
      caller: '^create_elf_tables',
      kernels: ['6.2', '6.3'],
    },
    object: 'mm_struct',
    was: "two new entries of the auxiliary vector did not fit into mm_struct's saved_auxv, which is its whitelist",
    fix: {
      commit: '28c8e088427a',
      title: 'rseq: Increase AT_VECTOR_SIZE_BASE to match rseq auxvec entries',
      version: '6.3',
    },
    source: 'linux-next 2023-01-10',
    confidence: 'likely',
  },
  {
    id: 'xstate-task_struct',
    cause: 'whitelist missing or too small',
    pattern: {
      cache: '^task_struct$',
      trace:
        '^(?:copy_uabi_to_xstate|copy_uabi_from_kernel_to_xstate|copy_sigframe_from_user_to_xstate|fpu__restore_sig|__fpu_restore_sig|__restore_fpregs_from_user)$',
      kernels: ['6.10', '6.16'],
    },
    was: "the FPU's state moved to after task_struct, and the whitelist of task_struct was lost with the move",
    fix: null,
    source: 'linux-tip-commits 2025-05-03; linux-kernel 2024-06-07',
    confidence: 'likely',
  },
  {
    id: 'xstate-without-message',
    cause: 'whitelist missing or too small',
    pattern: {
      message: false,
      trace: '^(?:copy_uabi_to_xstate|fpu__restore_sig|__fpu_restore_sig)$',
      kernels: ['6.10', '6.16'],
    },
    object: 'task_struct',
    was: "the FPU's state moved to after task_struct, and the whitelist of task_struct was lost with the move",
    fix: null,
    source: 'linux-kernel 2024-06-07 and 2024-06-11 (lkp)',
    confidence: 'likely',
  },
  {
    id: 'nvidia',
    cause: 'out-of-tree module',
    pattern: {
      cache: '^nvidia_(?:stack_cache|stack_t|p2p_page_cache)',
    },
    was: "caches of NVIDIA's proprietary driver are made without a whitelist",
    fix: null,
    source: 'Ubuntu forums 2019-01-18; void-packages issue 1231',
    confidence: 'certain',
  },
  {
    id: 'fusion-io',
    cause: 'out-of-tree module',
    pattern: {
      cache: '^fusion_user_ll_request$',
    },
    was: 'the FusionIO driver copies into a cache without a whitelist',
    fix: null,
    source: 'https://github.com/RemixVSL/iomemory-vsl/issues/142',
    confidence: 'certain',
  },
  {
    id: 'zfs-vmalloc',
    cause: 'out-of-tree module',
    pattern: {
      region: '^vmalloc',
      trace: '^(?:zfs_uiomove|zfs_uiomove_iter|dmu_read_uio_dnode|zfs_read|zpl_iter_read)$',
    },
    was: 'ZFS copies out of vmalloc buffers past their end, seen where a task is killed by its memory cgroup',
    fix: null,
    source: 'https://github.com/openzfs/zfs/issues/15918',
    confidence: 'likely',
  },
  {
    id: 'vm_map_ram',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^vmalloc, no area$',
      kernels: ['5.18', '5.19.0-rc3'],
    },
    was: 'areas of vm_map_ram() have no vm_struct, and the check looked for one',
    fix: {
      commit: '993d0b287e2e',
      title: 'usercopy: Handle vm_map_ram() areas',
      version: '5.19-rc3',
    },
    source: 'https://bugzilla.kernel.org/show_bug.cgi?id=216073',
    confidence: 'likely',
  },
  {
    id: 'vmalloc-tags',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^vmalloc$',
      offset: ['0x100000000000000', '0xffffffffffffffff'],
      kernels: ['5.18', '5.19.0-rc3'],
    },
    was: 'the tag of a pointer (KASAN) was taken for a part of its offset',
    fix: {
      commit: '993d0b287e2e',
      title: 'usercopy: Handle vm_map_ram() areas',
      version: '5.19-rc3',
    },
    source: 'linux-xfs 2022-06-12',
    confidence: 'certain',
  },
  {
    id: 'wrap-at-end',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^wrapped address$',
      format: ['new'],
      size: ['0', '0'],
      kernels: ['4.16', '5.3.0-rc5'],
    },
    was: 'a copy that ends at the last byte of memory counted as one that wraps',
    fix: {
      commit: '951531691c4b',
      title: 'mm/usercopy: use memory range to be accessed for wraparound check',
      version: '5.3-rc5',
    },
    source: 'linux-mm 2019-07-30',
    confidence: 'likely',
  },
  {
    id: 'text-overlap',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^kernel text$',
      format: ['old'],
      kernels: ['4.8.0-rc1', '4.8.0-rc4'],
    },
    was: 'a copy that ends exactly where the text begins counted as one that overlaps it',
    fix: {
      commit: '94cd97af690d',
      title: 'usercopy: fix overlap check for kernel text',
      version: '4.8',
    },
    source: 'https://git.kernel.org/torvalds/c/94cd97af690d',
    confidence: 'likely',
  },
  {
    id: 'page-span',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^spans ',
    },
    was: 'buffers of several pages are made without __GFP_COMP all over the kernel; the rule is off by default since 8e1f74ea02cf and gone since 5.19',
    fix: {
      commit: '8e1f74ea02cf',
      title: 'usercopy: remove page-spanning test for now',
      version: '4.8',
    },
    source: 'https://bugzilla.kernel.org/show_bug.cgi?id=203559',
    confidence: 'likely',
  },
  {
    id: 'devmem',
    cause: 'wrong length or pointer',
    pattern: {
      cache: '^(?:dma-)?kmalloc-',
      format: ['old'],
      trace: '^(?:read_mem|__vfs_read)$',
      comm: '^(?:dd|x86info|hexdump|cat|strings|od|biosdecode|dmidecode)$',
      kernels: ['4.8', '4.11.0-rc7'],
    },
    was: '/dev/mem let the first MiB of memory be read, though the kernel had given parts of it to its allocators',
    fix: {
      commit: 'a4866aa81251',
      title: 'mm: Tighten x86 /dev/mem with zeroing reads',
      version: '4.11-rc7',
    },
    source: 'linux-mm 2017-03-30',
    confidence: 'likely',
  },
  {
    id: 'devmem-by-size',
    cause: 'wrong length or pointer',
    pattern: {
      cache: '^dma-kmalloc-',
      format: ['old'],
      comm: '^(?:dd|x86info|hexdump)$',
      size: ['4096', '4096'],
      kernels: ['4.8', '4.11.0-rc7'],
    },
    was: '/dev/mem let the first MiB of memory be read, though the kernel had given parts of it to its allocators',
    fix: {
      commit: 'a4866aa81251',
      title: 'mm: Tighten x86 /dev/mem with zeroing reads',
      version: '4.11-rc7',
    },
    source: 'linux-mm 2017-03-31',
    confidence: 'likely',
  },
  {
    id: 'tpm-random',
    cause: 'wrong length or pointer',
    pattern: {
      cache: '^kmalloc-64$',
      offset: ['0', '0'],
      trace: '^(?:hwrng_|rng_dev_read|tpm_)',
      kernels: ['4.8', '5.2.1'],
    },
    was: 'an error code of the TPM was taken for a count of random bytes',
    fix: {
      commit: '782779b60faa',
      title: 'tpm: Actually fail on TPM errors during "get random"',
      version: '5.3',
    },
    source: 'https://bugzilla.redhat.com/show_bug.cgi?id=1650989',
    confidence: 'likely',
  },
  {
    id: 'tpm-response',
    cause: 'wrong length or pointer',
    pattern: {
      refusal: '^wrapped address$',
      caller: '^tpm_common_read$',
      kernels: ['5.3', '5.6'],
    },
    was: "a negative error number was stored as the response's length",
    fix: null,
    source: 'linux-integrity 2020-01-07',
    confidence: 'likely',
  },
  {
    id: 'nfs4_listxattr',
    cause: 'wrong length or pointer',
    pattern: {
      caller: '^listxattr$',
      kernels: ['5.9', '6.9'],
    },
    was: 'with no room left in the buffer nfs4_listxattr() went on and returned more than fits',
    fix: {
      commit: null,
      title: 'NFSv4.2: fix nfs4_listxattr kernel BUG at mm/usercopy.c:102',
      version: '6.9',
    },
    source: 'linux-nfs 2024-01-25 (CVE-2024-26870)',
    confidence: 'possible',
  },
  {
    id: 'ld_usb',
    cause: 'wrong length or pointer',
    pattern: {
      caller: '^ld_usb_read$',
      kernels: ['2.6', '5.4.0'],
    },
    was: 'ldusb took a length out of its ring buffer that the device had written',
    fix: null,
    source: 'linux-usb 2019-10-16 (syzbot)',
    confidence: 'likely',
  },
  {
    id: 'con_font_get',
    cause: 'wrong length or pointer',
    pattern: {
      caller: '^con_font_get$',
      region: '^page alloc$',
    },
    was: "a font's size was counted for larger letters than its buffer was made for",
    fix: null,
    source: 'linux-kernel 2023 (syzbot+3af17071816b)',
    confidence: 'likely',
  },
  {
    id: 'rtl8xxxu',
    cause: 'corruption elsewhere',
    pattern: {
      cache: '^kmalloc-256$',
      modules: '^rtl8xxxu$',
      comm: '^(?:pipewire|pipewire-pulse|Xorg|wireplumber)',
      kernels: ['6.17', '6.19'],
    },
    was: 'a reordered structure in rtl8xxxu damaged memory of others when the adapter was unplugged',
    fix: null,
    source: 'linux-wireless 2025-11-23',
    confidence: 'likely',
  },
  {
    id: 'ppc64-book3e-vmalloc',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^slab object not in slab page$',
      variant: '^ppc(?:64)?$',
      kernels: ['4.16', '5.18'],
    },
    was: "virt_addr_valid() was true for vmalloc addresses on 64-bit Book3E, so the check looked at a page that is another's",
    fix: {
      commit: 'ffa0b64e3be5',
      title: 'powerpc: Fix virt_addr_valid() for 64-bit Book3E & 32-bit',
      version: '5.18',
    },
    source: 'linuxppc-dev 2021-12-23, netfilter-devel 2021-08-22',
    confidence: 'certain',
  },
  {
    id: 'riscv-init-text',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^kernel text$',
      variant: '^riscv',
      kernels: ['5.8', '5.10'],
    },
    was: '_stext stood before the init section, whose memory is freed after boot and given to others',
    fix: {
      commit: null,
      title: 'Revert "riscv: Fixup static_obj() fail"',
      version: '5.10',
    },
    source: 'linux-csky 2020-09-11 and 2020-10-07',
    confidence: 'likely',
  },
  {
    id: 'parisc-init-text',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^kernel text$',
      variant: '^parisc',
    },
    was: 'the init section began at _stext, and its memory is freed after boot and given to others',
    fix: null,
    source: 'linux-parisc 2021-11-21',
    confidence: 'likely',
  },
  {
    id: 'ia64-linear-text',
    cause: 'false positive of the check',
    pattern: {
      refusal: '^linear kernel text$',
      variant: '^ia64$',
    },
    was: 'ia64 maps its kernel several times, and the check compares a wrong linear alias',
    fix: null,
    source: 'linux-ia64 2021-04-27',
    confidence: 'certain',
  },
];
