import { describe, expect, it } from 'vitest';
import { unjudged } from '../../scripts/lib/unjudged.mjs';

const judged = (profile: string, options?: string) => ({
  ...{ variant: 'i386', profile, lkdtm: '68 of 68', error: null },
  ...(options === undefined ? {} : { options }),
});

describe('what no kernel has judged', () => {
  const switchesOf = (...rows: Parameters<typeof unjudged>[0]) =>
    unjudged(rows)
      .switches.filter(({ profile }) => profile === '5.0')
      .map(({ name }) => name);

  it('is each profile that no kernel has, and each switch of the others', () => {
    const { profiles } = unjudged([judged('5.0')]);
    expect(profiles.map(({ name }) => name)).toEqual(['v3', 'v3-cma', '4.8', '4.16', '5.18', '5.19-rc', '6.1']);
    const switches = switchesOf(judged('5.0'));
    expect(switches).toContain('pagespan');
    expect(switches).toContain('bypass');
    // What the profile itself has is judged with it.
    for (const own of ['no-pagespan', 'no-fallback', 'highmem']) expect(switches).not.toContain(own);
  });

  it('is no switch that some kernel of the profile has', () => {
    expect(switchesOf(judged('5.0'), judged('5.0,pagespan'))).not.toContain('pagespan');
    expect(switchesOf(judged('5.0'), judged('6.1,no-kfence'))).toContain('no-kfence');
  });

  it('is told of allocators and frames by the configuration alone', () => {
    expect(switchesOf(judged('5.0'))).toEqual(expect.arrayContaining(['slab', 'slub', 'frames', 'no-frames']));
    const slab = switchesOf(judged('5.0', 'SLAB FRAME_POINTER'));
    expect(slab).toEqual(expect.arrayContaining(['slub', 'no-frames']));
    for (const own of ['slab', 'frames']) expect(slab).not.toContain(own);
    // Only x86's check walks frames.
    expect(switchesOf({ ...judged('5.0', 'FRAME_POINTER'), variant: 'arm64' })).toContain('frames');
  });

  it("is told of KFENCE by its objects, and of a check that is off by LKDTM's copies", () => {
    expect(switchesOf(judged('5.0'))).toEqual(expect.arrayContaining(['kfence', 'no-kfence', 'bypass']));
    // Built with it, and no object of it was copied.
    expect(switchesOf(judged('5.0', 'KFENCE'))).toEqual(expect.arrayContaining(['kfence', 'no-kfence']));
    expect(switchesOf(judged('5.0', '!KFENCE'))).not.toContain('no-kfence');
    const off = switchesOf({ ...judged('5.0', 'KFENCE KFENCE-judged'), off: '68 of 68' });
    for (const own of ['kfence', 'bypass']) expect(off).not.toContain(own);
  });

  it('has a reason each, and is not told by a kernel without the check', () => {
    const { profiles, switches } = unjudged([judged('5.0'), { ...judged('6.1'), unchecked: true }]);
    expect(profiles.map(({ name }) => name)).toContain('6.1');
    const reason = (name: string) => switches.find((one) => one.name === name)?.reason;
    expect(reason('wrap-counts-end')).toBe('before 5.3');
    expect(reason('pagespan')).toBe('it could be judged, and was not');
    expect([...profiles, ...switches].every((one) => one.reason.length > 0)).toBe(true);
  });

  it('is nothing that a dump has shown', () => {
    const row = { variant: 'x86_64', profile: '6.1', dumps: '7 of 7', options: 'SLAB FRAME_POINTER !KFENCE' };
    const switches = unjudged([row]).switches.map(({ name }) => name);
    for (const own of ['slab', 'frames', 'no-kfence']) expect(switches).not.toContain(own);
    for (const other of ['slub', 'no-frames', 'bypass']) expect(switches).toContain(other);
  });

  it('is everything where the only kernel could not be asked', () => {
    expect(unjudged([{ variant: 'i386', profile: '5.0', lkdtm: '', error: 'no BTF' }]).profiles.length).toBe(8);
  });
});
