import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { Random } from '../../bench/baseline/worlds/random.js';
import { UsercopyError } from '../../src/errors.js';
import type { Scenario } from '../../src/scenario/format.js';
import { parseScenario, readScenario } from '../../src/scenario/read.js';
import { writeScenario } from '../../src/scenario/write.js';

/** Every field that there is. */
const FULL: Scenario = {
  $schema: './scenario.schema.json',
  name: 'everything',
  guest: {
    variant: 'x86_64',
    build: 'check',
    kernel: 'vmlinuz',
    release: 'bookworm',
    btf: 'vmlinux.btf',
    config: 'config',
    profile: '4.16,pagespan',
    frames: true,
    stackDepth: { check: 40, print: '0x20' },
    ram: 64 << 20,
  },
  judge: 'kernel',
  onViolation: 'record',
  objects: {
    cred: {
      slab: {
        cache: 'cred_jar',
        objectSize: 168,
        size: 192,
        useroffset: 8,
        usersize: 16,
        redLeftPad: 8,
        order: 1,
        index: 2,
      },
    },
    folio: { compoundPage: { order: 2 } },
    pages: { pages: { count: 4, reserved: 1, cma: 2 } },
    area: { vmalloc: { pages: 2 } },
    slot: { kmap: { slot: 3 } },
    raw: { bytes: { size: 16, hex: '00 ff' } },
    k64: { result: { call: 'kmalloc(64)', size: 64 } },
    far: {
      declared: {
        kind: 'slab',
        start: '0xffff951a092de000',
        end: '0xffff951a092df000',
        type: 'plain',
        cache: 'kmalloc-8',
        objectSize: 8,
        objectStride: 16,
        redLeftPad: 8,
        useroffset: 0,
        usersize: 8,
      },
    },
    world: { random: { seed: 7 } },
  },
  steps: [
    {
      name: 'too much',
      copy: { pointer: 'cred + 16', size: 1024, direction: 'to_user' },
      expect: {
        message: null,
        outcome: 'bad',
        region: 'slab object',
        guest: null,
        ends: 'bug',
        returns: 0,
        instructions: 12,
      },
    },
    { call: 'do_copy(user, k64, 65, 1)' },
  ],
};

function refusal(text: string): string {
  try {
    parseScenario(text, 'case.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(UsercopyError);
    expect((error as UsercopyError).kind).toBe('bad-input');
    return (error as UsercopyError).message;
  }
  return 'none';
}

describe('a scenario', () => {
  it('comes back as it was written, in YAML and in JSON', () => {
    expect(parseScenario(writeScenario(FULL), 'a').scenario).toEqual(FULL);
    expect(parseScenario(JSON.stringify(FULL), 'a').scenario).toEqual(FULL);
    expect(parseScenario(JSON.stringify(FULL, null, '\t'), 'a').scenario).toEqual(FULL);
  });

  it('keeps every digit of addresses, and versions as they are written', () => {
    const { scenario } = parseScenario(
      `guest: { variant: x86_64, profile: 5.0 }
steps:
  - copy: { pointer: 0xffff888003a1f811, size: 18446744073709551615, direction: to_user }
`,
      'case.yaml',
    );
    expect(scenario.guest.profile).toBe('5.0');
    expect(scenario.steps[0]?.copy).toMatchObject({ pointer: '0xffff888003a1f811', size: '0xffffffffffffffff' });
    const big = {
      ...FULL,
      steps: [{ copy: { pointer: 0xffff888003a1f811n, size: 3n, direction: 'to_user' as const } }],
    };
    expect(parseScenario(writeScenario(big), 'a').scenario.steps[0]?.copy?.pointer).toBe('0xffff888003a1f811');
  });
});

describe('what is wrong in a scenario is told with line and column', () => {
  it('for a name that is not known, with the one that was meant', () => {
    expect(refusal('guest:\n  variant: x86_64\n  profil: 6.1\nsteps: [{ call: f() }]\n')).toMatch(
      /^case\.yaml:3:3: expected one of variant, .* in guest, found 'profil' \(did you mean 'profile'\?\)$/,
    );
  });

  it('for a value of another kind, at the value', () => {
    expect(refusal('guest:\n  variant: x86_64\n  frames: maybe\nsteps: [{ call: f() }]\n')).toBe(
      "case.yaml:3:11: expected true or false in guest.frames, found 'maybe'",
    );
    expect(refusal('guest: { variant: x }\nsteps:\n  - copy: { pointer: a, size: -1, direction: to_user }\n')).toBe(
      'case.yaml:3:31: expected an unsigned 64-bit number, 0x… or decimal, found -1',
    );
  });

  it('for what is missing, at what should have it', () => {
    expect(refusal('guest: { variant: x86_64 }\n')).toBe("case.yaml:1:1: expected 'steps', found none");
    expect(refusal('guest: { variant: x }\nobjects:\n  a:\n    slab: { cache: c }\nsteps: [{ call: f() }]\n')).toBe(
      "case.yaml:4:11: expected 'objectSize' in objects.a.slab, found none",
    );
  });

  it('for text that is no YAML, a name twice, and several documents', () => {
    expect(refusal('guest: {\n')).toMatch(/^case\.yaml:2:1: expected YAML or JSON, found /);
    expect(refusal('guest: 1\nsteps: []\nguest: 2\n')).toBe(
      "case.yaml:3:1: expected each name once, found 'guest' again",
    );
    expect(refusal('a: 1\n---\nb: 2\n')).toMatch(/^case\.yaml:\d+:\d+: expected YAML or JSON, found .*documents/);
    expect(refusal('')).toMatch(/^case\.yaml: expected a scenario of unicorn-usercopy, found nothing$/);
  });

  it('for anchors, aliases and tags, before anything is multiplied', () => {
    const bomb = ['a: &a [x, x]', ...Array.from({ length: 60 }, (_, i) => `b${i}: &b${i} [*a, *a]`)].join('\n');
    expect(refusal(bomb)).toBe('case.yaml:1:7: expected values written out, found an anchor or alias of YAML');
    expect(refusal('guest: *x\nsteps: []\n')).toMatch(/^case\.yaml:1:8: expected /);
    expect(refusal('guest: !!js/function "x"\nsteps: []\n')).toMatch(/^case\.yaml:1:\d+: expected /);
  });

  it('for nesting without end and files without end', () => {
    expect(refusal('['.repeat(100_000))).toMatch(
      /^case\.yaml:1:\d+: expected at most 16 levels of nesting, found more$/,
    );
    expect(refusal('- '.repeat(50))).toMatch(/levels of nesting/);
    expect(refusal(' '.repeat((1 << 20) + 1))).toMatch(/^case\.yaml: expected a scenario of at most 1048576/);
    const directory = mkdtempSync(join(tmpdir(), 'usercopy-scenario-'));
    try {
      const huge = join(directory, 'huge.yaml');
      writeFileSync(huge, Buffer.alloc((1 << 20) + 1, ' '));
      expect(() => readScenario(huge)).toThrow(/huge\.yaml: expected at most 1048576 bytes/);
      expect(() => readScenario(directory)).toThrow(/expected a regular file, found a directory/);
      expect(() => readScenario(join(directory, 'absent.yaml'))).toThrow(
        /absent\.yaml: expected a file that can be read, found ENOENT/,
      );
      const latin = join(directory, 'latin.yaml');
      writeFileSync(latin, Buffer.of(0x61, 0x3a, 0xe4, 0xff));
      expect(() => readScenario(latin)).toThrow(/latin\.yaml: expected text in UTF-8/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('for every field in turn, with every kind of value that is not its own', () => {
    const wrong = [null, -1, 2 ** 53, 'no such thing \u0000', '', true, [[]], { x: {} }];
    let refused = 0;
    for (const path of pathsOf(FULL)) {
      for (const value of wrong) {
        const changed = parse(stringify(FULL));
        const parent = path.slice(0, -1).reduce((part, key) => part[key], changed);
        parent[path.at(-1)!] = value;
        const message = refusal(stringify(changed));
        if (message === 'none') continue;
        refused++;
        expect(message, path.join('.')).toMatch(/^case\.yaml:\d+:\d+: expected .*, found /);
        expect(message.length).toBeLessThan(600);
      }
    }
    // Most are refused; a name may be any text, for instance.
    expect(refused).toBeGreaterThan(pathsOf(FULL).length * wrong.length * 0.7);
  });
});

function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const parts = Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, key]));
  return path.length === 0 ? parts : [path, ...parts];
}

it('the reader answers any bytes with a scenario or one sentence', () => {
  const random = new Random(20160720);
  const seeds = [writeScenario(FULL), JSON.stringify(FULL)];
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ':',
    '- ',
    '? ',
    '\n',
    '\t',
    '"',
    "'",
    '&a',
    '*a',
    '!!',
    '%',
    '|',
    '>',
    '#',
    '0x',
    '\u0000',
    '\ufeff',
    '~',
    ',',
    '...',
    '---',
  ];
  for (let round = 0; round < 600; round++) {
    let text = seeds[round % 2]!;
    for (let edits = random.below(6); edits >= 0; edits--) {
      const at = random.below(text.length + 1);
      const length = random.below(4) === 0 ? random.below(200) : random.below(3);
      const piece = pieces[random.below(pieces.length)]!;
      text = text.slice(0, at) + piece.repeat(random.below(3)) + text.slice(at + length);
    }
    const message = refusal(text);
    if (message !== 'none') expect(message).toMatch(/^case\.yaml(:\d+:\d+)?: /);
  }
});
