/**
 * Which rules a kernel follows. What its contents show comes first: a vendor's tree has the check of another version than its
 * own. What they leave open is told by the vendor's tree where that was read, else by the version.
 */

import type { Variant } from '../../arch/driver.js';
import { baseOf, NEWEST_JUDGED, type Profile, type ProfileName, parseProfile, switchesOf } from '../check/profiles.js';
import { profileForRelease, type VendorTree } from '../check/vendor-profiles.js';
import type { Kernel, KernelVersion } from '../kernel/kernel.js';
import { atLeast } from '../kernel/version.js';
import { type CalledFunction, type CheckText, traitsOf } from './traits.js';

export interface ChosenProfile {
  readonly profile: Profile;
  /** What it was chosen by, in a sentence; null when it was named. */
  readonly by: string | null;
}

/** What the texts show: never taken from the configuration. */
const PAGESPAN = ['pagespan', 'no-pagespan'];
const FALLBACK = ['fallback', 'no-fallback'];
/** What contents show of 4.8 to 4.15. */
const SKIPS = ['skip-vmalloc', 'skip-vmalloc-or-module', 'unless-virt-addr-valid'];
const HIGHMEM = ['highmem', 'no-highmem'];

/** The profile of a kernel (`auto`). */
export function profileOf(kernel: Kernel, variant: Variant): ChosenProfile {
  const { profile: told, tree } = profileForRelease(kernel.version, kernel.config);
  const teller = tellerOf(tree, kernel.version);
  const content = new Content(kernel, variant);
  const era = content.era(baseOf(told));
  if (era === null) {
    const why =
      kernel.symbols.address('__check_object_size') === undefined
        ? 'it has no check of its own'
        : 'its contents hold none of the texts of the check';
    return { profile: told, by: `${teller}: ${why}` };
  }
  const decided = content.changes(era);
  const [base, ...changes] = told.name.split(',');
  const left = base === era ? changes.filter((change) => !content.decides(change)) : [];
  const possible = [...decided, ...left].filter((change) => switchesOf(era).includes(change));
  const profile = parseProfile([era, ...possible].join(','));
  const rest = base === era ? `what they leave open by ${teller}` : `not by ${teller}, which stands for ${told.name}`;
  const unread = content.callsAreKnown ? '' : '; what else its check calls could not be read';
  return { profile, by: `its contents (${content.evidence.join(', ')}); ${rest}${unread}` };
}

function tellerOf(tree: VendorTree | null, version: KernelVersion): string {
  const { major, minor } = NEWEST_JUDGED;
  const isNewer = atLeast(version, major, minor + 1);
  const release = `${version.release || 'unknown'}${isNewer ? `, newer than ${major}.${minor}, the newest that was judged` : ''}`;
  if (tree === null) return `the version (${release})`;
  if (tree.profile !== null) return `what ${tree.name} is known to have (${release})`;
  return `the version (${release}; what ${tree.name} may have taken back was not read)`;
}

class Content {
  readonly evidence: string[] = [];
  readonly #texts: ReadonlySet<string>;
  readonly #calls: ReadonlySet<string>;
  readonly #fallback: number | null;
  /** Whether a call that was not found is not there. */
  readonly callsAreKnown: boolean;

  constructor(
    private readonly kernel: Kernel,
    private readonly variant: Variant,
  ) {
    const { texts, calls, callsAreAll = false } = traitsOf(kernel, variant);
    this.#texts = new Set(texts);
    this.#calls = new Set(calls);
    this.callsAreKnown = callsAreAll;
    this.#fallback = Content.#fallbackOf(kernel);
  }

  #text(text: CheckText): boolean {
    const has = this.#texts.has(text);
    if (has) this.evidence.push(`the text '${text}'`);
    return has;
  }

  #calling(name: CalledFunction): boolean {
    const has = this.#calls.has(name);
    if (has) this.evidence.push(`a call of ${name}()`);
    return has;
  }

  /** The profile that texts, calls and configuration belong to; `told` where several are left. null: they tell nothing. */
  era(told: ProfileName): ProfileName | null {
    if (this.#text('Kernel memory %s attempt detected')) return this.#newEra(told);
    if (!this.#text('kernel memory %s attempt detected')) return null;
    const spans = this.#text('<spans multiple pages>');
    // The series of 2016 says it of Reserved and CMA pages too, and looks at spans in any configuration.
    if (!spans || this.#text('<spans Reserved and non-Reserved pages>')) return '4.8';
    this.evidence.push(
      'where texts tell no more, the rules of ChromeOS 3.18, the one tree of the series that was read',
    );
    return 'v3-cma';
  }

  #newEra(told: ProfileName): ProfileName {
    if (this.#text('no area')) {
      if (this.#calling('find_vmap_area')) return '6.1';
      if (this.#calling('find_vm_area')) return '5.19-rc';
      return told === '5.19-rc' ? told : '6.1';
    }
    // The rules of 2792d84e6da5 (5.18) and the option came together.
    if (this.variant.hasCurrentStackPointer && this.kernel.config !== null) {
      const depth = this.kernel.config.enabled('ARCH_HAS_CURRENT_STACK_POINTER');
      if (depth) {
        this.evidence.push('ARCH_HAS_CURRENT_STACK_POINTER');
        return '5.18';
      }
      if (told === '5.18') return '5.0';
    }
    if (told === '5.18' || told === '5.0' || told === '4.16') return told;
    return told === '5.19-rc' || told === '6.1' ? '5.18' : '4.16';
  }

  /** Switches that contents show to be on. */
  changes(era: ProfileName): string[] {
    const changes: string[] = [];
    // is_vmalloc_addr() is inline: nothing shows whether a tree that took the series asks it.
    if (era === 'v3-cma') return ['skip-vmalloc', ...(this.#text('<linear kernel text>') ? ['linear-text'] : [])];
    // 4f5e838605c2 "usercopy: Remove pointer from overflow report", the first of the series of 4.16, without those after it.
    if (era === '4.8' && this.#text("kernel memory %s attempt detected %s '%s'")) changes.push('no-address');
    const spans = this.#texts.has('spans Reserved and non-Reserved pages');
    if (spans || (era === '4.8' && this.#texts.has('<spans Reserved and non-Reserved pages>'))) {
      this.evidence.push('the texts of HARDENED_USERCOPY_PAGESPAN');
      changes.push('pagespan');
    }
    if (this.#fallback !== null) {
      this.evidence.push(`usercopy_fallback = ${this.#fallback}`);
      if (this.#fallback !== 0) changes.push('fallback');
    }
    if (era === '4.8' && !this.#calling('is_vmalloc_or_module_addr') && this.callsAreKnown) {
      this.evidence.push('no call of is_vmalloc_or_module_addr()');
      // Before 4.8 only trees that took the check have it: they ask is_vmalloc_addr(), which is inline.
      const { major, minor } = this.kernel.version;
      changes.push(major < 4 || (major === 4 && minor < 8) ? 'skip-vmalloc' : 'unless-virt-addr-valid');
    }
    if (this.#showsHighmem) changes.push(this.#calling('kmap_to_page') ? 'highmem' : 'no-highmem');
    return changes.filter((change) => !isUsual(era, change));
  }

  /** `usercopy_fallback` (4.16 to 5.15), which its parameter may have changed; null where the kernel has none to read. */
  static #fallbackOf({ symbols, read }: Kernel): number | null {
    const address = symbols.address('usercopy_fallback');
    return address === undefined ? null : (read(address, 1)?.[0] ?? null);
  }

  /** Whether calls tell if pages of kmapped addresses are looked at: with HIGHMEM alone kmap_to_page() is a function. */
  get #showsHighmem(): boolean {
    if (this.variant.bits !== 32 || this.kernel.symbols.address('kmap_to_page') === undefined) return false;
    return this.callsAreKnown || this.#calls.has('kmap_to_page');
  }

  /** Whether contents settle what a switch says, so that the version is not asked. */
  decides(change: string): boolean {
    if (FALLBACK.includes(change)) return this.#fallback !== null;
    if (HIGHMEM.includes(change)) return this.#showsHighmem;
    if (SKIPS.includes(change)) return this.callsAreKnown || this.#calls.has('is_vmalloc_or_module_addr');
    return PAGESPAN.includes(change);
  }
}

/** Whether a profile has by itself what a switch does. */
function isUsual(era: ProfileName, change: string): boolean {
  if (!switchesOf(era).includes(change)) return true;
  const plain = parseProfile(era).switches;
  const changed = parseProfile(`${era},${change}`).switches;
  const own = new Map(Object.entries(plain));
  return Object.entries(changed).every(([name, value]) => own.get(name) === value);
}
