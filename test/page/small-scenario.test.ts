/** The play tab's copies as scenarios of built-in guests; the judge is the guests' own check, here under libunicorn. */
import { expect, it } from 'vitest';
import { findVariant } from '../../arch/index.js';
import { PLACES, placeOf } from '../../page/places.js';
import { smallScenario } from '../../page/run/small-scenario.js';
import { Check } from '../../src/check/check.js';
import { parseProfile } from '../../src/check/profiles.js';
import { judgeSmall } from '../../src/diagnosis/small-memory.js';
import { builtCheck } from '../../src/engine/built-check.js';
import { playScenario } from '../../src/scenario/play.js';
import { scenarioInMemory } from '../../src/scenario/read.js';

/** Of guests, a slab of these has fewer objects than the page's. */
const SLAB = { objectSize: 4096, redZone: 256, useroffset: 1024, usersize: 2048 };

it.each(['x86_64', 'i386', 's390x'])('what the page says is what the %s guest does', async (name) => {
  const variant = findVariant(name)!;
  const check = await Check.create({ source: builtCheck, guestBytes: 0 });
  let refusals = 0;
  for (const kind of PLACES) {
    const place = placeOf(kind, variant, SLAB);
    const { frames: _, ...memory } = place.memory;
    const length = Number(place.end - place.start);
    const scenarios = [0.01, 0.3, 0.5, 0.5, 0.6, 0.93].flatMap((part, index) => {
      const size = BigInt(index === 2 ? length / 2 : index % 2 === 0 ? 24 : Math.ceil(length / 50));
      const copy = {
        pointer: place.start + BigInt(Math.min(Math.floor(length * part), length - Number(size))),
        size,
        direction: index === 1 ? ('from_user' as const) : ('to_user' as const),
      };
      const { verdict } = judgeSmall(check, memory, parseProfile('6.1'), copy);
      const made = smallScenario(kind, place, SLAB, {
        ...{ variant: name, copy, refused: verdict.outcome === 'bad', frames: false },
      });
      return typeof made === 'string' ? [] : [made];
    });
    const [first] = scenarios;
    expect(scenarios.length).toBeGreaterThan(2);
    const all = {
      ...first!,
      guest: { ...first!.guest, ram: 32 << 20 },
      steps: scenarios.flatMap(({ steps }) => steps),
    };
    const { rows } = await playScenario(scenarioInMemory(all));
    for (const [index, row] of rows.entries()) {
      expect([kind, all.steps[index]?.copy?.pointer, row.unmet, row.identical]).toEqual([
        kind,
        all.steps[index]?.copy?.pointer,
        [],
        true,
      ]);
      if (row.guest !== null) refusals++;
    }
  }
  expect(refusals).toBeGreaterThan(6);
});
