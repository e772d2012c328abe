/** Tiny WASM modules for `hookCopy`, written byte by byte. */

const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/** One type: (i32, i32) → i32. */
const type = [0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f];
const oneFunction = [0x03, 0x02, 0x01, 0x00];
/** Imports `env.memory`, at least one page. */
const importMemory = [
  0x02,
  0x0f,
  0x01,
  0x03,
  0x65,
  0x6e,
  0x76,
  0x06,
  ...[0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79],
  0x02,
  0x00,
  0x01,
];
/** Exports function 0 as `judge`. */
const exportJudge = [0x07, 0x09, 0x01, 0x05, ...[0x6a, 0x75, 0x64, 0x67, 0x65], 0x00, 0x00];

function judge(memory: WebAssembly.Memory, body: readonly number[]): (context: number, request: number) => number {
  const code = [0x0a, body.length + 4, 0x01, body.length + 2, 0x00, ...body, 0x0b];
  const module = new WebAssembly.Module(
    Uint8Array.from([...header, ...type, ...importMemory, ...oneFunction, ...exportJudge, ...code]),
  );
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports['judge'] as (context: number, request: number) => number;
}

/**
 * Adds 1 to the i32 at `context`; answers 1 when the u64 at `request` is above the i32 at `context + 4`, else 0.
 */
export function limitJudge(memory: WebAssembly.Memory): (context: number, request: number) => number {
  return judge(memory, [
    ...[0x20, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x41, 0x01, 0x6a, 0x36, 0x02, 0x00], // i32.store(ctx, i32.load(ctx) + 1)
    ...[0x20, 0x01, 0x29, 0x03, 0x00], // i64.load(request)
    ...[0x20, 0x00, 0x35, 0x02, 0x04], // i64.load32_u(ctx + 4)
    0x56, // i64.gt_u
  ]);
}

/** Traps. */
export function trappingJudge(memory: WebAssembly.Memory): (context: number, request: number) => number {
  return judge(memory, [0x00]); // unreachable
}
