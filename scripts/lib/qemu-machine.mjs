/** A machine of QEMU's that boots a kernel, stops it where it is told, and dumps its memory. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findVariant } from '../../build/js/arch/index.js';

/** Numbers of GDB's remote protocol for the first three arguments, and how a kernel is booted with a console on the first line. */
const MACHINES = {
  x86_64: {
    program: 'qemu-system-x86_64',
    options: ['-machine', 'q35', '-cpu', 'max'],
    console: 'ttyS0',
    arguments: [5, 4, 3],
  },
  i386: {
    program: 'qemu-system-i386',
    options: ['-machine', 'q35', '-cpu', 'max'],
    console: 'ttyS0',
    arguments: [0, 2, 1],
  },
  arm: {
    program: 'qemu-system-arm',
    options: ['-machine', 'virt,highmem=off', '-cpu', 'cortex-a15'],
    console: 'ttyAMA0',
    arguments: [0, 1, 2],
  },
  arm64: {
    program: 'qemu-system-aarch64',
    options: ['-machine', 'virt', '-cpu', 'cortex-a57'],
    console: 'ttyAMA0',
    arguments: [0, 1, 2],
  },
  s390x: {
    program: 'qemu-system-s390x',
    options: ['-machine', 's390-ccw-virtio', '-cpu', 'max'],
    console: 'ttysclp0',
    arguments: [4, 5, 6],
  },
  ppc64le: {
    program: 'qemu-system-ppc64',
    options: ['-machine', 'pseries', '-cpu', 'power9', '-vga', 'none'],
    console: 'hvc0',
    arguments: [3, 4, 5],
  },
  riscv64: {
    program: 'qemu-system-riscv64',
    options: ['-machine', 'virt', '-cpu', 'rv64'],
    console: 'ttyS0',
    // A trap of the kernel's own counts as an interrupt there, and BUG() in one is a panic: the machine shall stand then.
    append: 'panic=0',
    arguments: [10, 11, 12],
  },
};

const CONNECT_LIMIT = 20_000;

/** The machine of a variant. */
function machineOf(variant) {
  if (Object.hasOwn(MACHINES, variant)) return MACHINES[variant];
  throw new Error(`${variant}: expected a variant that QEMU boots here (${Object.keys(MACHINES).join(', ')})`);
}

async function connect(path, { signal }) {
  for (const end = Date.now() + CONNECT_LIMIT; ; await sleep(100)) {
    signal.throwIfAborted();
    const socket = existsSync(path)
      ? await new Promise((resolve) => {
          const attempt = createConnection(path);
          attempt.once('connect', () => resolve(attempt)).once('error', () => resolve(null));
        })
      : null;
    // What ends the connection is told by the end of QEMU.
    if (socket !== null) return socket.on('error', () => {});
    if (Date.now() > end) throw new Error(`${path}: expected QEMU to listen, found nobody`);
  }
}

export class Machine {
  #child;
  #over = new AbortController();
  #qmp;
  #gdb;
  #replies = [];
  #waiting = [];
  /** Answers and stops, as far as nobody has asked for them. */
  #packets = { answer: [], stop: [] };
  #wanted = { answer: [], stop: [] };
  /** The one that stopped last. */
  #processor = 0;

  constructor(variant, directory) {
    this.machine = machineOf(variant);
    this.variant = findVariant(variant);
    this.directory = directory;
    this.serial = join(directory, 'serial.txt');
  }

  /** Starts the kernel; it runs. `memory` is MiB, or what QEMU takes as such; `more` options come last and win. */
  async boot({ kernel, initrd, append, memory, processors = 1, more = [] }) {
    const { program, options, console, append: own = '' } = this.machine;
    const [qmp, gdb] = ['qmp', 'gdb'].map((name) => join(this.directory, `${name}.socket`));
    for (const file of [qmp, gdb, this.serial]) rmSync(file, { force: true });
    const socket = (path) => `unix:${path},server=on,wait=off`;
    this.#child = spawn(
      program,
      [
        ...options,
        ...[
          '-accel',
          'tcg',
          '-smp',
          String(processors),
          '-m',
          String(memory),
          '-nographic',
          '-nodefaults',
          '-no-reboot',
          '-action',
          'panic=none',
        ],
        ...more,
        ...['-kernel', kernel, '-initrd', initrd, '-append', `console=${console} nokaslr panic=-1 ${own} ${append}`],
        ...['-serial', `file:${this.serial}`, '-qmp', socket(qmp), '-gdb', socket(gdb)],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    this.#child.stderr.on('data', (data) => {
      said += data;
    });
    this.ended = new Promise((resolve) =>
      this.#child
        .once('exit', (code) => resolve(`QEMU ended (${code}): ${said.trim()}`))
        .once('error', (error) => resolve(`${program} could not be started: ${error.message}`)),
    );
    this.ended.then(() => this.#over.abort());
    this.#qmp = await this.#unlessItEnds(connect(qmp, this.#over));
    let text = '';
    this.#qmp.on('data', (data) => {
      text += data;
      const lines = text.split('\n');
      text = lines.pop();
      for (const line of lines) {
        const message = JSON.parse(line);
        if ('return' in message || 'error' in message)
          (this.#waiting.shift() ?? ((m) => this.#replies.push(m)))(message);
      }
    });
    await this.command('qmp_capabilities');
    // GDB stops the machine as it connects: later, when it is asked for.
    this.gdbPath = gdb;
  }

  /** What is waited for; an error where QEMU ends before. */
  #unlessItEnds(promise) {
    return Promise.race([promise, this.ended.then((why) => Promise.reject(new Error(why)))]);
  }

  async command(execute, args = {}) {
    const answer = new Promise((resolve) => this.#waiting.push(resolve));
    this.#qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const message = await this.#unlessItEnds(answer);
    if (message.error) throw new Error(`${execute}: ${message.error.desc}`);
    return message.return;
  }

  log = () => (existsSync(this.serial) ? readFileSync(this.serial, 'latin1') : '');

  /** Waits for a line on the console. */
  async waitFor(pattern, limit) {
    for (const end = Date.now() + limit; ; await this.#unlessItEnds(sleep(500))) {
      const found = pattern.exec(this.log());
      if (found) return found;
      if (Date.now() > end) throw new Error(`expected ${pattern} on the console, found: ${this.log().slice(-600)}`);
    }
  }

  /** Stops the machine. */
  async attach() {
    this.#gdb = await this.#unlessItEnds(connect(this.gdbPath, this.#over));
    let text = '';
    this.#gdb.on('data', (data) => {
      text += data.toString('latin1');
      for (;;) {
        const found = /^[+]*\$([^#]*)#[0-9a-f]{2}/.exec(text);
        if (!found) break;
        text = text.slice(found[0].length);
        this.#gdb.write('+');
        // A stop may be told although nobody waits for one.
        const kind = /^[TS]\d\d/.test(found[1]) ? 'stop' : 'answer';
        // Threads count from 1: of process 1, or alone.
        const thread = /thread:(?:p?\d+\.)?([0-9a-f]+);/.exec(found[1])?.[1];
        if (kind === 'stop' && thread !== undefined) this.#processor = Number.parseInt(thread, 16) - 1;
        (this.#wanted[kind].shift() ?? ((packet) => this.#packets[kind].push(packet)))(found[1]);
      }
    });
    // Registers are read and written one by one only for a client that knows the target's description.
    await this.#ask('qXfer:features:read:target.xml:0,ffb');
    this.#send('?');
    await this.#next('stop');
  }

  #next(kind) {
    const packet = this.#packets[kind].shift();
    if (packet !== undefined) return Promise.resolve(packet);
    return this.#unlessItEnds(new Promise((resolve) => this.#wanted[kind].push(resolve)));
  }

  /** Goes on; what is given resolves when the machine stops. */
  #continue() {
    this.#packets.stop.length = 0;
    this.#send('c');
    return this.#next('stop');
  }

  #send(packet) {
    const sum = [...packet].reduce((total, character) => (total + character.charCodeAt(0)) & 255, 0);
    this.#gdb.write(`$${packet}#${sum.toString(16).padStart(2, '0')}`);
  }

  async #ask(packet) {
    this.#send(packet);
    return this.#next('answer');
  }

  /** Goes on until the instruction at `address`, for at most `limit` milliseconds; whether it was reached. The machine is stopped then. */
  async runTo(address, limit) {
    const place = address.toString(16);
    // It may stand there: one instruction on its own, or it would not get away.
    this.#packets.stop.length = 0;
    this.#send('s');
    await this.#next('stop');
    await this.#ask(`Z0,${place},4`);
    const stop = this.#continue();
    const reached = await Promise.race([stop.then(() => true), sleep(limit).then(() => false)]);
    if (!reached) {
      this.#gdb.write('\u0003');
      await stop;
    }
    await this.#ask(`z0,${place},4`);
    return reached;
  }

  /** Lets it run for a while, and stops it wherever it is. */
  async runFor(milliseconds) {
    const stop = this.#continue();
    await Promise.race([stop, sleep(milliseconds)]);
    this.#gdb.write('\u0003');
    await stop;
  }

  async argument(index) {
    const bytes = Buffer.from(await this.#ask(`p${this.machine.arguments[index].toString(16)}`), 'hex');
    if (this.variant.endian === 'little') bytes.reverse();
    return BigInt(`0x${bytes.toString('hex')}`);
  }

  async setArgument(index, value) {
    const { bits, endian } = this.variant;
    const bytes = Buffer.from(value.toString(16).padStart(bits / 4, '0'), 'hex');
    if (endian === 'little') bytes.reverse();
    const answer = await this.#ask(`P${this.machine.arguments[index].toString(16)}=${bytes.toString('hex')}`);
    if (answer !== 'OK') throw new Error(`register of argument ${index}: expected OK, found ${answer}`);
  }

  #monitor(line) {
    return this.command('human-monitor-command', { 'command-line': line, 'cpu-index': this.#processor });
  }

  /** The physical address of a virtual one; null where nothing is mapped. */
  async physical(address) {
    const found = /gpa: (?:0x)?([0-9a-f]+)/.exec(await this.#monitor(`gva2gpa 0x${address.toString(16)}`));
    return found && BigInt(`0x${found[1]}`);
  }

  /** Physical memory as an ELF vmcore, and the registers of every processor as QEMU prints them. */
  async dump(file) {
    await this.command('dump-guest-memory', { paging: false, protocol: `file:${file}` });
    return this.#monitor('info registers -a');
  }

  async close() {
    this.#gdb?.destroy();
    this.#qmp?.destroy();
    this.#child?.kill('SIGKILL');
    await this.ended;
  }
}
