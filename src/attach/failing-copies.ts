/**
 * Bad copies that fail instead of stopping the guest: the function that would copy returns at once and says that no byte
 * was copied, which its callers turn into -EFAULT, as they do after a fault on the user's side. So a fuzzer's guest
 * survives, and its error paths run.
 */
import type { UaccessEntry, Variant } from '../../arch/driver.js';
import type { Copy } from '../check/verdict.js';
import type { Engine, Hook } from '../engine/engine.js';
import { UsercopyError } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { engineWords, GuestCall } from '../stack/call.js';
import { entryPointOf } from '../stack/entry-point.js';

/**
 * At a uaccess entry point the copy itself fails. At `__check_object_size` the check is passed over and the copy that it
 * stands before fails when it arrives: the next uaccess entry point with bytes of the judged range. A copy that reaches
 * none (strncpy_from_user, code with the copy inlined) cannot be made to fail, and stops the guest at the next check.
 */
export class FailingCopies {
  readonly #engine: Engine;
  readonly #call: GuestCall;
  readonly #copying: readonly { readonly entry: UaccessEntry; readonly address: bigint }[];
  #armed: Hook[] = [];

  constructor(engine: Engine, kernel: Kernel, variant: Variant) {
    this.#engine = engine;
    this.#call = new GuestCall(variant, engine, engineWords(engine, variant));
    this.#copying = variant.uaccess.flatMap((entry) => {
      const address = entry.role === 'judge' ? undefined : entryPointOf(kernel, variant, entry.symbol);
      return address === undefined ? [] : [{ entry, address }];
    });
  }

  /** From within the hook on `entry`: makes the copy that it announces fail. */
  fail(entry: UaccessEntry, copy: Copy): void {
    this.disarm();
    if (entry.role !== 'judge') {
      this.#call.leave(copy.size);
      return;
    }
    if (this.#copying.length === 0) {
      throw new UsercopyError(
        'bad-input',
        'a copy cannot fail here: the kernel has no symbol of a function that copies; stop the guest instead',
      );
    }
    for (const { entry: copying, address } of this.#copying) {
      this.#armed.push(this.#engine.hookAddress(address, () => this.#arrive(copying, copy)));
    }
    this.#call.leave(null);
  }

  #arrive(entry: UaccessEntry, judged: Copy): void {
    const argument = (index: number): bigint => this.#call.argument(index);
    const size = BigInt.asUintN(entry.sizeBits ?? 64, argument(entry.size));
    const places = [
      argument(entry.kernelPointer),
      ...(entry.userPointer === undefined ? [] : [argument(entry.userPointer)]),
    ];
    const ours = places.some((place) => place >= judged.pointer && place < judged.pointer + judged.size);
    this.disarm();
    if (ours) this.#call.leave(size);
  }

  /** Takes the hooks away that wait for a copy. */
  disarm(): void {
    for (const hook of this.#armed.splice(0)) hook.remove();
  }
}
