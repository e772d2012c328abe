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
import { entryPointOf } from '../stack/entry-point.js';

/** Makes the function at whose first instruction the guest stands return, from within a hook there. */
export class FunctionReturn {
  readonly #engine: Engine;
  readonly #kernel: Kernel;
  readonly #variant: Variant;

  constructor(engine: Engine, kernel: Kernel, variant: Variant) {
    this.#engine = engine;
    this.#kernel = kernel;
    this.#variant = variant;
  }

  /** Where that function will return to. */
  get address(): bigint {
    const { registers } = this.#variant;
    if (registers.link !== null) return this.#engine.readRegister(registers.link);
    return this.#word(this.#engine.readRegister(registers.sp));
  }

  /** Returns; `value` is what the caller gets, null for a function without a value. */
  now(value: bigint | null): void {
    const { registers, call, bits } = this.#variant;
    const target = this.address + BigInt(call.returnOffset ?? 0);
    if (call.pushesReturnAddress) {
      const sp = this.#engine.readRegister(registers.sp) + BigInt(bits / 8);
      this.#engine.writeRegister(registers.sp, BigInt.asUintN(bits, sp));
    }
    if (value !== null) this.#engine.writeRegister(registers.returnValue, value);
    this.#engine.writeRegister(registers.pc, target);
  }

  #word(address: bigint): bigint {
    const bytes = this.#engine.read(address, this.#kernel.bits / 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const little = this.#kernel.endian === 'little';
    return this.#kernel.bits === 64 ? view.getBigUint64(0, little) : BigInt(view.getUint32(0, little));
  }
}

/**
 * At a uaccess entry point the copy itself fails. At `__check_object_size` the check is passed over and the copy that it
 * stands before fails when it arrives: the next uaccess entry point with bytes of the judged range. A copy that reaches
 * none (strncpy_from_user, code with the copy inlined) cannot be made to fail, and stops the guest at the next check.
 */
export class FailingCopies {
  readonly #engine: Engine;
  readonly #return: FunctionReturn;
  readonly #variant: Variant;
  readonly #copying: readonly { readonly entry: UaccessEntry; readonly address: bigint }[];
  #armed: Hook[] = [];

  constructor(engine: Engine, kernel: Kernel, variant: Variant) {
    this.#engine = engine;
    this.#variant = variant;
    this.#return = new FunctionReturn(engine, kernel, variant);
    this.#copying = variant.uaccess.flatMap((entry) => {
      const address = entry.role === 'judge' ? undefined : entryPointOf(kernel, variant, entry.symbol);
      return address === undefined ? [] : [{ entry, address }];
    });
  }

  /** From within the hook on `entry`: makes the copy that it announces fail. */
  fail(entry: UaccessEntry, copy: Copy): void {
    this.disarm();
    if (entry.role !== 'judge') {
      this.#return.now(copy.size);
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
    this.#return.now(null);
  }

  #arrive(entry: UaccessEntry, judged: Copy): void {
    const argument = (index: number): bigint => {
      const register = this.#variant.registers.arguments[index];
      return register === undefined ? 0n : this.#engine.readRegister(register);
    };
    const size = BigInt.asUintN(entry.sizeBits ?? 64, argument(entry.size));
    const places = [
      argument(entry.kernelPointer),
      ...(entry.userPointer === undefined ? [] : [argument(entry.userPointer)]),
    ];
    const ours = places.some((place) => place >= judged.pointer && place < judged.pointer + judged.size);
    this.disarm();
    if (ours) this.#return.now(size);
  }

  /** Takes the hooks away that wait for a copy. */
  disarm(): void {
    for (const hook of this.#armed.splice(0)) hook.remove();
  }
}
