import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareHarness } from '../../../src/attach/harness.js';
import { harnessText } from '../../../src/attach/harness-file.js';
import { hex } from '../../../src/errors.js';
import { loadOwnKernel, startOwnGuest } from '../../../src/scenario/own.js';
import { type HereBuild, unicornsHere } from '../../places.js';
import { buildHost, buildSteps, COPY_TO_USER, play, prepareFirmware } from './machine.js';

const folder = mkdtempSync(join(tmpdir(), 'steps-'));
const prepared = join(folder, 'attach.json');
afterAll(() => rmSync(folder, { recursive: true }));

const STOPPED = 'ended 0x100000 error 0 rax 0';
const DONE = 'ended 0x100ff0 error 0 rax 0';
const REFUSED = 'violation _copy_to_user slab object size 65 resume 0x100000';
const NOTHING_STOPPED =
  'usercopy_resume_once: expected a copy that was stopped, found none, or another has arrived since';

/**
 * Code of `_copy_to_user(to, from, n)` at 0x100100 that asks a check at 0x100180, which returns, and jumps to the copy at 0x100000:
 * push rdi, rsi, rdx; mov rdi, rsi; mov rsi, rdx; mov edx, 1; call; pop rdx, rsi, rdi; jmp.
 */
const CHECKED_COPY = [
  ...['code 0x100100 5756524889f74889d6ba01000000', 'code 0x10010e e86d000000', 'code 0x100113 5a5e5f'],
  ...['code 0x100116 e9e5feffff', 'code 0x100180 c3'],
];
const CHECKED_SYMBOLS = ['__check_object_size=0x100180', '_copy_to_user=0x100100'];

beforeAll(() => {
  prepareFirmware(folder, 'attach.json', '_copy_to_user=0x100000');
});

describe.each(unicornsHere)('libusercopy with libunicorn $version', (build) => {
  let program = '';
  beforeAll(() => {
    program = buildSteps(build, folder);
  });
  /** What is said after attaching. */
  const steps = (...words: string[]): string[] =>
    play(program, build, [`prepared ${prepared}`, `code 0x100000 ${COPY_TO_USER}`, 'attach 0', ...words]).slice(1);

  it('judges every one of equal bad copies', () => {
    expect(steps('copy 65', 'copy 65', 'copy 65', 'copy 65', 'statistics 0')).toEqual([
      ...[REFUSED, STOPPED, REFUSED, STOPPED, REFUSED, STOPPED, REFUSED, STOPPED],
      'checks 4 good 0 bad 4 unreadable 0 suppressed 0 resumed 0',
    ]);
  });

  it('judges a run that merely starts at the stopped address', () => {
    expect(steps('copy 65', 'run 0x100000', 'run 0x100000')).toEqual([
      REFUSED,
      STOPPED,
      REFUSED,
      STOPPED,
      REFUSED,
      STOPPED,
    ]);
  });

  it('goes on without a second judgement once, when asked', () => {
    expect(steps('copy 65', 'resume 0', 'run 0x100000', 'resume 0', 'copy 65', 'statistics 0')).toEqual([
      ...[REFUSED, STOPPED, DONE, NOTHING_STOPPED, REFUSED, STOPPED],
      'checks 2 good 0 bad 2 unreadable 0 suppressed 0 resumed 1',
    ]);
  });

  it('goes on when the callback that stops asks for it', () => {
    expect(
      steps('in-callback resume', 'copy 65', 'in-callback none', 'run 0x100000', 'run 0x100000').slice(0, 4),
    ).toEqual([REFUSED, 'resume 0', STOPPED, DONE]);
  });

  it.each([
    ['a register that the check does not look at has changed', 'set r15 5'],
    ['a register of the copy has changed', 'set rsi 0x200041'],
    ['it was taken back', 'cancel'],
    ['the attachment was reset', 'reset'],
  ])('judges again after resume when %s', (_, between) => {
    const lines = steps('copy 65', 'resume 0', between, 'run 0x100000');
    expect(lines.filter((line) => line.startsWith('violation'))).toHaveLength(2);
    expect(lines.at(-1)).toBe(STOPPED);
  });

  it('judges again after resume when another copy was made meanwhile', () => {
    expect(steps('copy 65', 'resume 0', 'copy 64', 'copy 65')).toEqual([REFUSED, STOPPED, DONE, REFUSED, STOPPED]);
  });

  it('judges again when a context was restored whose registers differ', () => {
    expect(
      steps(
        'set rax 7',
        'save',
        'copy 65',
        'resume 0',
        'restore',
        'set rdi 0x300000',
        'set rsi 0x200040',
        'set rdx 65',
        'run 0x100000',
      ).at(-2),
    ).toBe(REFUSED);
  });

  it('refuses to resume where the guest does not stand, or nothing was stopped', () => {
    expect(steps('resume 0')).toEqual([NOTHING_STOPPED]);
    expect(steps('copy 65', 'set rip 0x100003', 'resume 0').at(-1)).toBe(
      'usercopy_resume_once: expected the pc at 0x100000, where the copy was stopped, found 0x100003',
    );
    expect(steps('copy 65', 'reset', 'resume 0').at(-1)).toBe(NOTHING_STOPPED);
    expect(steps('copy 65', 'copy 64', 'resume 0').at(-1)).toBe(NOTHING_STOPPED);
  });

  it('judges when another hook at the address moves the guest away and it comes back', () => {
    const lines = steps('move 0x100000 0x100007', 'copy 65', 'copy 65', 'copy 65');
    expect(lines.filter((line) => line === REFUSED)).toHaveLength(3);
    expect(lines.slice(-4)).toEqual([REFUSED, STOPPED, REFUSED, STOPPED]);
  });

  it('detaches inside the callback', () => {
    expect(steps('in-callback detach', 'copy 65', 'copy 65')).toEqual([REFUSED, STOPPED, DONE]);
    expect(steps('decide 0', 'in-callback detach', 'copy 65', 'copy 65')).toEqual([REFUSED, DONE, DONE]);
    expect(steps('in-callback detach', 'copy 65', 'attach 0', 'in-callback none', 'copy 65')).toEqual([
      ...[REFUSED, STOPPED, 'attached', REFUSED, STOPPED],
    ]);
  });

  it('resets inside the callback', () => {
    expect(steps('in-callback reset', 'copy 65', 'in-callback none', 'copy 65')).toEqual([
      REFUSED,
      STOPPED,
      REFUSED,
      STOPPED,
    ]);
  });

  it('has two attachments on one emulator, which both stop and both let go on', () => {
    const lines = steps(
      'attach 1',
      'copy 65',
      ...Array(3).fill(['resume 0', 'resume 1', 'run 0x100000']).flat(),
      'statistics 0',
      'statistics 1',
    );
    // Whether Unicorn calls the second hook after the first one stopped depends on its version.
    expect(lines.indexOf(DONE)).toBeGreaterThan(0);
    const after = lines.slice(lines.indexOf(DONE) + 1);
    expect(lines.slice(0, lines.indexOf(DONE)).filter((line) => line === REFUSED)).toHaveLength(2);
    expect(after.length).toBeGreaterThan(0);
    expect(steps('attach 1', 'copy 65', 'run 0x100000').at(-1)).toBe(STOPPED);
    expect(steps('attach 1', 'detach 0', 'copy 65', 'resume 1', 'run 0x100000').at(-1)).toBe(DONE);
  });

  it('meets code that ran before it was attached', () => {
    expect(steps('detach 0', 'copy 65', 'copy 65', 'attach 0', 'copy 65')).toEqual([
      DONE,
      DONE,
      'attached',
      REFUSED,
      STOPPED,
    ]);
  });

  it('goes on in a child process as in its parent', () => {
    expect(steps('copy 65', 'child 65', 'child 64', 'resume 0', 'run 0x100000', 'statistics 0')).toEqual([
      ...[REFUSED, STOPPED],
      ...[REFUSED, STOPPED, 'checks 2 good 0 bad 2 unreadable 0 suppressed 0 resumed 0', 'child 0'],
      ...[DONE, 'checks 2 good 1 bad 1 unreadable 0 suppressed 0 resumed 0', 'child 0'],
      ...[DONE, 'checks 1 good 0 bad 1 unreadable 0 suppressed 0 resumed 1'],
    ]);
  });

  it('stops for a decision that is none, and says so', () => {
    const lines = steps('decide 77', 'copy 65', 'error');
    expect(lines.slice(0, 2)).toEqual([REFUSED, STOPPED]);
    expect(lines[2]).toBe('error: the callback: expected a UsercopyDecision, found 77; the guest was stopped');
  });

  it('ends uc_emu_start() with an error for USERCOPY_CRASH', () => {
    const lines = steps('decide 3', 'copy 65', 'copy 64', 'copy 65');
    expect(lines).toEqual([REFUSED, expect.stringMatching(/^ended 0x\w+ error (?!0)\d+/), DONE, REFUSED, lines[1]]);
  });

  it('ends the process for USERCOPY_CRASH where the harness maps whatever is asked for', () => {
    const lines = steps('map-any', 'decide 3', 'copy 65');
    expect(lines.slice(-2)).toEqual([
      'usercopy: USERCOPY_CRASH: the harness mapped memory where nothing was, and ran on',
      'status SIGABRT',
    ]);
  });

  it('lets a copy fail as after -EFAULT: the function returns what was not copied', () => {
    expect(steps('decide 2', 'copy 65')).toEqual([REFUSED, 'ended 0x100ff0 error 0 rax 65']);
  });

  it('notes copies in an audit, and judges them afterwards', () => {
    expect(steps('tell facts', 'audit 1', 'copy 65', 'copy 64', 'flush', 'statistics 0', 'flush')).toEqual([
      ...[DONE, DONE, REFUSED, 'facts outcome 1 kernel 0 afterwards 1 missing 0x0 user none', 'flushed 1'],
      'checks 2 good 1 bad 1 unreadable 0 suppressed 0 resumed 0',
      'flushed 0',
    ]);
    // The ring holds 1024: the next arrival judges them.
    const full = steps('decide 0', 'audit 1', 'copy 64', 'repeat 1100', 'statistics 0');
    expect(full.at(-1)).toMatch(/^checks 1024 /);
    expect(steps('audit 1', 'copy 65', 'detach 0')).toEqual([DONE, REFUSED]);
    expect(steps('audit 1', 'copy 65', 'audit 0', 'copy 65')).toEqual([DONE, REFUSED, REFUSED, STOPPED]);
  });

  it('suppresses by rules, and counts what they silence', () => {
    const lines = steps(
      'suppress cache=none region="process stack"  # nothing',
      'copy 65',
      'suppress cache=packet_* direction=to_user',
      'copy 65',
      ...['suppressed 0', 'suppressed 1', 'statistics 0', 'tally 1', 'tally 2', 'tally 4'],
    );
    expect(lines).toEqual([
      ...[REFUSED, STOPPED, DONE, 'rule 1', 'rule 0'],
      'checks 2 good 0 bad 2 unreadable 0 suppressed 1 resumed 0',
      ...['slab object 2', 'packet_buffers 2', 'bad: slab object 2'],
    ]);
    expect(steps('suppress colour=red')).toEqual([
      'usercopy_suppress: suppression list, line 1: expected words like caller=NAME, of caller, cache, region, direction, entry',
    ]);
  });

  it('tells what a person and a program want to know', () => {
    expect(steps('tell message explanation title caller facts', 'user-data mine', 'copy 65')).toEqual([
      REFUSED,
      "message usercopy: Kernel memory exposure attempt detected from SLUB object 'packet_buffers' (offset 0, size 65)!",
      'explanation copy to user: [0x200040, 0x200081), 65 bytes',
      'refused: slab object',
      'object of cache packet_buffers: [0x200040, 0x200080), 64 bytes',
      'the copy ends 1 byte past it',
      'title BUG: bad usercopy in 0x100ff0',
      'caller none 0x100ff0 0x0',
      'facts outcome 1 kernel 0 afterwards 0 missing 0x0 user mine',
      STOPPED,
    ]);
  });

  it('says so when none of 10 000 copies met anything that the check knows', () => {
    // The declared slab is somewhere else than what is copied. The first copy has no bytes, and does not count.
    const lines = steps(
      'call 0x100000 0x203000 0',
      'call 0x100000 0x203000 64',
      'set rsi 0x203000',
      'repeat 12000',
      'notes',
    );
    const warning = lines.find((line) => line.startsWith('usercopy: warning: none of 1'));
    expect(warning).toMatch(/copies met anything that the check knows .*, or was never set up$/);
    expect(warning).not.toContain('nothing is judged');
    expect(lines.at(-1)).toContain('none of 1');
    expect(steps('copy 64', 'repeat 12000').join()).not.toContain('warning');
    expect(steps('set rdx 0', 'repeat 12000').join()).not.toContain('warning');
  });

  it('judges a copy once whose function has two names', () => {
    const file = prepareFirmware(folder, 'aliases.json', '_copy_to_user=0x100000', 'copy_user_generic_string=0x100000');
    expect(steps('detach 0', `prepared ${file}`, 'attach 0', 'copy 65', 'copy 64', 'statistics 0')).toEqual([
      ...['attached', REFUSED, STOPPED, DONE],
      'checks 2 good 1 bad 1 unreadable 0 suppressed 0 resumed 0',
    ]);
  });

  it("tells and counts a copy once that passes the check and what copies, under 'all'", () => {
    const file = prepareFirmware(folder, 'all.json', ...CHECKED_SYMBOLS);
    const all = [...CHECKED_COPY, 'detach 0', `prepared ${file}`, 'attach 0'];
    const told = 'violation _copy_to_user slab object size 65 resume 0x100100';
    const call = (size: number) => `call 0x100100 0x200040 ${size}`;
    expect(
      steps(...all, call(64), call(65), 'decide 0', call(65), 'decide 2', call(65), call(64), 'statistics 0'),
    ).toEqual([
      ...['attached', DONE, told, 'ended 0x100100 error 0 rax 0', told, DONE],
      ...[told, 'ended 0x100ff0 error 0 rax 65', DONE],
      'checks 5 good 2 bad 3 unreadable 0 suppressed 0 resumed 0',
    ]);
  });

  it('refuses NULL where something is needed, and says so', () => {
    const lines = steps('nulls');
    // A sentence each, of its own function.
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines.length).toBeGreaterThan(15);
    expect(
      lines.filter((line) => !/^usercopy_\w+: expected an? (attachment|snapshot|name), found NULL$/.test(line)),
    ).toEqual([]);
  });
});

/** A build whose libunicorn lies where a wheel has it. */
function privateCopy(build: HereBuild, name: string): HereBuild {
  const lib = join(folder, name, 'unicorn', 'lib');
  mkdirSync(lib, { recursive: true });
  const library = join(lib, 'libunicorn.so.2');
  copyFileSync(build.library, library);
  symlinkSync('libunicorn.so.2', join(lib, 'libunicorn.so'));
  return { ...build, lib, library };
}

describe('the libunicorn of the process', () => {
  const [build, other] = [unicornsHere[0]!, unicornsHere.at(-1)!];
  /** The libunicorn.a of Debian's 2.1.4 calls itself without end at a guest's first load, whoever uses it. */
  const linkable = unicornsHere.filter(({ version }) => version !== '2.1.4');
  const begin = [`prepared ${prepared}`, `code 0x100000 ${COPY_TO_USER}`];

  it.each(linkable)('is asked for when $version is linked in statically, and used when handed in', (here) => {
    const program = buildSteps(here, folder, 'static');
    const lines = play(program, here, [...begin, 'attach 0', 'attach 0 linked', 'copy 65', 'resume 0', 'run 0x100000']);
    expect(lines[0]).toBe(
      'usercopy_attach: expected a libunicorn in this process, found none (statically linked ones are not seen): say which with usercopy_attach_with()',
    );
    expect(lines.slice(1)).toEqual(['attached', REFUSED, STOPPED, DONE]);
  });

  it('is that of the program where it exports the symbols', () => {
    const here = linkable.at(-1)!;
    const program = buildSteps(here, folder, 'exported');
    expect(play(program, here, [...begin, 'attach 0', 'copy 65', 'copy 64'])).toEqual([
      'attached',
      REFUSED,
      STOPPED,
      DONE,
    ]);
  });

  it('is found where a module brought it from a folder of its own, of no search of the program', () => {
    const wheel = privateCopy(other, 'wheel');
    const plugin = buildSteps(wheel, folder, 'plugin');
    const host = buildHost(folder);
    const lines = play(
      host,
      wheel,
      [...begin, 'attach 0', 'copy 65', 'attach 1 path libunicorn.so.2', 'detach 1', `attach 1 path ${wheel.library}`],
      plugin,
    );
    expect(lines.slice(0, 3)).toEqual(['attached', REFUSED, STOPPED]);
    expect(lines.slice(3)).toEqual(['attached', 'attached']);
  });

  it('is asked for when there are two copies of one build, and an emulator of the other is refused', () => {
    const [program, second] = [buildSteps(other, folder), privateCopy(other, 'second')];
    const lines = play(program, other, [
      ...begin,
      `load ${second.library}`,
      'attach 0',
      `attach 0 handle ${second.library}`,
      `attach 0 path ${other.library}`,
      'copy 65',
    ]);
    expect(lines[0]).toBe('loaded');
    expect(lines[1]).toMatch(/^usercopy_attach: expected one libunicorn in this process, found 2 \(.*\): say which/);
    expect(lines[2]).toMatch(/^usercopy_attach_with: expected an open emulator of the libunicorn in .*second/);
    expect(lines.slice(3)).toEqual(['attached', REFUSED, STOPPED]);
  });

  it.skipIf(build.version === other.version)(
    'is asked for when there are two, and an emulator of the other is refused',
    () => {
      const program = buildSteps(build, folder);
      const mine = `${build.lib}/libunicorn.so.2`;
      const lines = play(program, build, [
        ...begin,
        `load ${other.library}`,
        'attach 0',
        `attach 0 path ${other.library}`,
        `attach 0 handle ${other.library}`,
        'attach 0 path /nowhere/libunicorn.so.2',
        `attach 0 path ${mine}`,
        'copy 65',
      ]);
      expect(lines[0]).toBe('loaded');
      expect(lines[1]).toMatch(/^usercopy_attach: expected one libunicorn in this process, found 2 \(.*\): say which/);
      expect(lines[2]).toMatch(
        /^usercopy_attach_with: expected an open emulator of the libunicorn in .*found none, or one of another/,
      );
      expect(lines[3]).toBe(lines[2]);
      expect(lines[4]).toMatch(/^usercopy_attach_with: libunicorn: expected the path of one that is loaded/);
      expect(lines.slice(5)).toEqual(['attached', REFUSED, STOPPED]);
    },
  );

  it('refuses a guest whose code is another than the file was prepared for, and takes one that is patched or not loaded yet', async () => {
    const program = buildSteps(build, folder);
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    const file = join(folder, 'own.json');
    writeFileSync(file, harnessText(await prepareHarness(guest.kernel)));
    const at = guest.kernel.symbols.address('__check_object_size')!;
    const code = Buffer.from(guest.kernel.read(at - 32n, 128)!);
    guest.close();
    const page = at & ~0xfffn;
    // endbr64 and the call of ftrace, as they are patched when a kernel boots.
    const patched = Buffer.concat([Buffer.from('f30f1efa0f1f440000', 'hex'), code.subarray(32 + 9, 96)]);
    const attaching = (...steps: string[]): string | undefined =>
      play(program, build, [`prepared ${file}`, ...steps, 'attach 0']).at(-1);
    const loaded = (bytes: Buffer) => attaching(`map ${hex(page)}`, `code ${hex(at)} ${bytes.toString('hex')}`);
    expect(attaching()).toBe('attached');
    expect(attaching(`map ${hex(page)}`)).toBe('attached');
    expect(loaded(code.subarray(32, 96))).toBe('attached');
    expect(loaded(patched)).toBe('attached');
    // The kernel, 16 and 32 bytes further on.
    for (const moved of [code.subarray(16, 80), code.subarray(0, 64)])
      expect(loaded(moved)).toBe(
        `usercopy_attach: expected __check_object_size at ${hex(at)}, as the file was prepared, found other code there: the guest runs another kernel, or has moved it (boot it with nokaslr); prepare the file for the kernel that it runs`,
      );
  });

  it('refuses a file for another architecture, and one that was edited, in a sentence', () => {
    const program = buildSteps(build, folder);
    const edited = join(folder, 'edited.json');
    writeFileSync(edited, readFileSync(prepared, 'utf8').replace('"judge":"all"', '"judge":"kernel"'));
    const old = join(folder, 'old.json');
    writeFileSync(old, '{"usercopyHarness":1}');
    const lines = play(program, build, [`prepared ${edited}`, 'attach 0', `prepared ${old}`, 'attach 0']);
    expect(lines[0]).toMatch(/^usercopy_attach: prepared file: expected its content to have the SHA-256 that it names/);
    expect(lines[1]).toBe('usercopy_attach: expected a file of `usercopy prepare` of this version, as it was written');
  });
});
