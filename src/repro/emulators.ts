/** Emulators that run a dump's own code, opened only where they are wanted: a machine without libunicorn still judges dumps. */
import type { Dump } from '../dump/open-dump.js';
import type { Engine } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import type { ExamineOptions } from './dump-question.js';
import { INSTRUCTIONS_OF_A_COPY, type TrapTools } from './from-trap.js';
import { openReplaying, type Replaying } from './replay.js';

async function openEngine({ variant }: Dump, { withoutEmulator }: ExamineOptions): Promise<Engine> {
  if (withoutEmulator !== null) throw new UsercopyError('crash', withoutEmulator);
  if ('unsupported' in variant.engine) throw new UsercopyError('unsupported', variant.engine.unsupported);
  const { openUnicorn } = await import('../engine/unicorn-native.js');
  return openUnicorn(variant.engine);
}

export async function withEngine<T>(
  dump: Dump,
  options: ExamineOptions,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = await openEngine(dump, options);
  try {
    return await use(engine);
  } finally {
    engine.close();
  }
}

/** Pages in one emulator that a search of the copy may take. */
const PAGES_OF_A_SEARCH = 256;

/** What keeps an emulator from being opened on this dump, or its check from running there, is no matter of one copy. */
function asUnsupported(error: unknown): never {
  if (!(error instanceof UsercopyError) || (error.kind !== 'engine' && error.kind !== 'bad-input')) throw error;
  throw new UsercopyError('unsupported', error.message);
}

/** Replays of copies that may have been the one, in one emulator as long as its pages are few. */
export function replaysOf(options: ExamineOptions): TrapTools['withReplays'] {
  return async (dump, use) => {
    await options.beforeEmulation?.(null);
    const opened: { readonly engine: Engine; readonly replaying: Replaying }[] = [];
    const close = (): void => {
      for (const { engine, replaying } of opened.splice(0)) {
        replaying.close();
        engine.close();
      }
    };
    const replaying = async (): Promise<Replaying> => {
      const [last] = opened;
      if (last !== undefined && last.replaying.pageCount < PAGES_OF_A_SEARCH) return last.replaying;
      close();
      const engine = await openEngine(dump, options).catch(asUnsupported);
      try {
        const fresh = openReplaying(engine, dump, { instructionLimit: INSTRUCTIONS_OF_A_COPY });
        opened.push({ engine, replaying: fresh });
        return fresh;
      } catch (error) {
        engine.close();
        return asUnsupported(error);
      }
    };
    try {
      return await use(async (copy) => (await replaying()).run(copy));
    } finally {
      close();
    }
  };
}
