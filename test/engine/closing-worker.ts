/**
 * A program: workers that emulate, and that end while native code is calling them. `node closing-worker.js KIND…` prints
 * a line for each and ends with 0; a process that is ended by a signal says the rest.
 */
import { once } from 'node:events';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Engine } from '../../src/engine/engine.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { attach, Guest, KernelObjects, loadKernel } from '../../src/index.js';
import { packageFile } from '../../src/paths.js';
import { type Program, x86_64 } from './machines.js';

/** What a worker's callbacks do: they take their time, so that the end meets them, or are the end. */
type Busy = () => void;

const CODE = 0x10_0000n;
const UNMAPPED = 0x70_0000n;

const TIMES = 2;

function emulator({ bytes }: Program, pointer = CODE): Engine {
  const engine = openUnicorn(x86_64.spec);
  engine.map(CODE, 0x2000n, 'rwx');
  engine.write(CODE, bytes);
  engine.writeRegisters({ [x86_64.counter]: 1_000_000_000n, [x86_64.pointer]: pointer, rsp: CODE + 0x1800n });
  return engine;
}

function forever(engine: Engine, program: Program): never {
  for (;;) {
    engine.writeRegisters({ [x86_64.counter]: 1_000_000_000n });
    engine.runSync({ start: CODE, until: CODE + BigInt(program.at['end'] ?? 0x1000) });
  }
}

/** A guest that asks its check about a bad copy again and again. */
async function badCopies(
  busy: Busy,
  options: Parameters<typeof attach>[2],
  bytes: 'there' | 'foreign' | 'missing' = 'there',
): Promise<never> {
  const kernel = await loadKernel(packageFile('guests/elf/x86_64.elf'));
  const guest = await Guest.create(kernel);
  const slab = new KernelObjects(guest).makeSlab({
    ...{ name: 'cred_jar', objectSize: 168, size: 192, useroffset: 0, usersize: 0 },
  });
  const attachment = await attach(guest.engine, guest.kernel, {
    ...(bytes === 'there' ? { memory: guest.check } : {}),
    judge: 'kernel',
    onViolation: () => {
      busy();
      return 'continue';
    },
    ...options,
  });
  if (bytes !== 'there') {
    attachment.check.foreignReader = (address, length) => {
      busy();
      return bytes === 'foreign' ? guest.engine.read(address, length) : undefined;
    };
  }
  if (bytes === 'missing') {
    attachment.check.missing = () => {
      busy();
      return false;
    };
  }
  for (;;) await guest.call('__check_object_size', [slab.object(3), 8n, 1n]);
}

const KINDS: Readonly<Record<string, (busy: Busy) => Promise<never> | never>> = {
  violation: (busy) => badCopies(busy, {}),
  'violation, judged in V8': (busy) => badCopies(busy, { executor: 'v8' }),
  audit: (busy) => badCopies(busy, { mode: 'audit' }),
  'audit, judged in V8': (busy) => badCopies(busy, { mode: 'audit', executor: 'v8' }),
  'foreign bytes': (busy) => badCopies(busy, {}, 'foreign'),
  'missing page': (busy) => badCopies(busy, { onViolation: 'record' }, 'missing'),
  address: (busy) => {
    const engine = emulator(x86_64.countdown);
    engine.hookAddress(CODE, busy);
    return forever(engine, x86_64.countdown);
  },
  block: (busy) => {
    const engine = emulator(x86_64.countdown);
    engine.hookBlock(busy);
    return forever(engine, x86_64.countdown);
  },
  instruction: (busy) => {
    const engine = emulator(x86_64.countdown);
    engine.hookInstruction(busy);
    return forever(engine, x86_64.countdown);
  },
  'memory read': (busy) => {
    const engine = emulator(x86_64.load);
    engine.hookMemoryRead(busy);
    return forever(engine, x86_64.load);
  },
  interrupt: (busy) => {
    const engine = emulator(x86_64.interrupt);
    engine.hookInterrupt(busy);
    return forever(engine, x86_64.interrupt);
  },
  'memory fault': (busy) => {
    const engine = emulator(x86_64.load, UNMAPPED);
    engine.hookMemoryFault(() => {
      busy();
      return false;
    });
    return forever(engine, x86_64.load);
  },
  price: (busy) => {
    for (;;) {
      const engine = emulator(x86_64.countdown);
      engine.writeRegister(x86_64.counter, 3n);
      const cycles = () => {
        busy();
        return 1;
      };
      engine.runSync({ start: CODE, until: CODE + BigInt(x86_64.countdown.at['end']!), cycles });
      engine.close();
    }
  },
  run: async (busy) => {
    busy();
    const engine = emulator(x86_64.forever);
    await engine.run({ start: CODE, until: 0n });
    throw new Error('an endless loop has ended');
  },
};

function busyUntilTheEnd(exits: boolean): Busy {
  let calls = 0;
  return () => {
    if (calls++ === 0) parentPort?.postMessage('busy');
    if (exits && calls === 3) process.exit(3);
    for (const end = performance.now() + 2; performance.now() < end; );
  };
}

async function end(kind: string, exits: boolean, attempt: number): Promise<number> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { kind, exits } });
  const exit = once(worker, 'exit') as Promise<[number]>;
  worker.once('error', (error) => {
    throw error;
  });
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${kind}: nothing was called within 30 s`)), 30_000).unref();
  });
  await Promise.race([once(worker, 'message'), exit, late]);
  if (!exits) {
    await new Promise((resolve) => setTimeout(resolve, 3 * attempt));
    return worker.terminate();
  }
  return (await exit)[0];
}

if (isMainThread) {
  for (const kind of argv.slice(2)) {
    const codes: number[] = [];
    for (let i = 0; i < TIMES; i++) codes.push(await end(kind, false, i));
    if (kind !== 'run' && kind !== 'price') codes.push(await end(kind, true, 0));
    console.log(`${kind}: ${codes.join(' ')}`);
  }
} else {
  const { kind, exits } = workerData as { kind: string; exits: boolean };
  await KINDS[kind]!(busyUntilTheEnd(exits));
}
