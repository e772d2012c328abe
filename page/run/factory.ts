/** The emulator's file, which has run in this worker: what it left behind, and an instance made of it. */
import type { UnicornJsFactory, UnicornJsModule } from '../../src/engine/unicorn-js/module.js';
import { badInput, messageOf, UsercopyError } from '../../src/errors.js';

/** What a factory that Emscripten made is given. */
type Maker = (given: {
  readonly wasmBinary?: Uint8Array;
  readonly locateFile: (name: string) => string;
  readonly print: (text: string) => void;
  readonly printErr: (text: string) => void;
  readonly onAbort: (what: unknown) => void;
}) => Promise<UnicornJsModule>;

/** Stands behind the file: a `const` at its top is no property of the worker. */
export const TRAILER = '\n;if (typeof MUnicorn === "function") self.MUnicorn = MUnicorn;\n';

/** To be called before the file runs; the answer finds what it exported. */
export function watchForFactory(scope: Record<string, unknown>): () => Maker | null {
  const own: { exports: unknown } = { exports: {} };
  scope['module'] = own;
  scope['exports'] = own.exports;
  const known = new Set(Object.getOwnPropertyNames(scope));
  return () => {
    const exported = own.exports;
    const inside = typeof exported === 'object' && exported !== null ? Reflect.get(exported, 'default') : undefined;
    const others = Object.getOwnPropertyNames(scope)
      .filter((name) => !known.has(name))
      .map((name) => scope[name])
      .filter((value) => typeof value === 'function');
    const found = [exported, inside, scope['MUnicorn'], ...(others.length === 1 ? others : [])].find(
      (value) => typeof value === 'function',
    );
    // A function; what it makes is looked at.
    return (found as Maker | undefined) ?? null;
  };
}

/** A factory for `instantiate()`, which asks for nothing but what was given. */
export function factoryOf(make: Maker, name: string, wasm: Uint8Array | null): UnicornJsFactory {
  return async () => {
    const said: string[] = [];
    let asked: string | null = null;
    let abort: (reason: unknown) => void = () => {};
    const aborted = new Promise<never>((_, reject) => {
      abort = reject;
    });
    const say = (text: string): void => void (said.length < 3 && said.push(text));
    try {
      const made = make({
        ...(wasm === null ? {} : { wasmBinary: wasm }),
        locateFile: (file) => {
          asked = file;
          return file;
        },
        print: say,
        printErr: say,
        // Some releases neither resolve nor reject then.
        onAbort: (what) => abort(what),
      });
      return await Promise.race([made, aborted]);
    } catch (error) {
      if (asked !== null && wasm === null) {
        throw new UsercopyError('bad-input', `${name}: expected its ${asked} beside it: choose that file, too`, {
          cause: error,
        });
      }
      const reason = error instanceof Error ? messageOf(error) : String(error);
      throw badInput(name, 'a module that starts', [reason, ...said].join('; ').slice(0, 500));
    }
  };
}
