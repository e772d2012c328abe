/** Drop a shrunk dump: the copy that it is of, and any other, judged by the customer's own structures. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Copy, Direction } from '../src/check/verdict.js';
import { drawing, escaped } from '../src/diagnosis/drawing.js';
import { hexdump } from '../src/diagnosis/hexdump.js';
import type { Reproduction } from '../src/diagnosis/outcome.js';
import { type Member, sceneOf } from '../src/diagnosis/scene.js';
import { readDumpFile } from '../src/dump/dump-file.js';
import { DumpJudge, type DumpJudgement } from '../src/dump/judge.js';
import { memorySource } from '../src/dump/memory-source.js';
import { openShrunk } from '../src/dump/open-shrunk.js';
import { shrunkNoteOf } from '../src/dump/shrunk-note.js';
import { hex, UsercopyError } from '../src/errors.js';
import { portableZlib } from '../src/kernel/payload/portable-zlib.js';
import { explainDump } from '../src/repro/explain-dump.js';
import { refusedBy } from '../src/repro/outcome-of.js';
import { structOfCache } from '../src/repro/struct-fields.js';
import { checkModule } from './data.js';
import { BADGES, FileField, type TabProperties, Trouble, troubleWith, useNewest } from './parts.js';
import { dumpBytesOf, shrinkAdvice } from './read-file.js';

async function judgeOf(file: File): Promise<DumpJudge> {
  const core = await readDumpFile(memorySource(await dumpBytesOf(file, file.name), file.name), portableZlib);
  const note = shrunkNoteOf(core.notes, file.name);
  if (note === null) {
    throw new UsercopyError(
      'unsupported',
      `${file.name} is a whole dump: its kernel would have to be searched for in it (${shrinkAdvice(file.name)})`,
    );
  }
  return DumpJudge.create(
    { ...openShrunk(file.name, core, note, {}), close() {} },
    { source: { module: checkModule } },
  );
}

interface Form {
  readonly pointer: string;
  readonly size: string;
  readonly direction: Direction;
}

const formOf = ({ pointer, size, direction }: Copy): Form => ({ pointer: hex(pointer), size: `${size}`, direction });

function copyOf({ pointer, size, direction }: Form, bits: number): Copy | string {
  const number = (text: string): bigint | null => (/^(?:0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text) ? BigInt(text) : null);
  const [from, length] = [number(pointer.trim()), number(size.trim())];
  if (from === null) return 'Write the pointer as 0x… or in decimal digits.';
  if (length === null) return 'Write the size as 0x… or in decimal digits.';
  const word = 1n << BigInt(bits);
  return from >= word || length >= word
    ? `Pointer and size are words of ${bits} bits.`
    : { pointer: from, size: length, direction };
}

export function DumpTab(_: TabProperties) {
  const [judge, setJudge] = useState<DumpJudge | null>(null);
  const [number, setNumber] = useState(0);
  const begin = useNewest();
  const [form, setForm] = useState<Form | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const take = async (file: File): Promise<void> => {
    const isNewest = begin();
    setJudge(null);
    setTrouble(null);
    try {
      const made = await judgeOf(file);
      if (!isNewest()) return;
      setForm(made.dump.atCheck ? formOf(made.copyFromRegisters()) : { pointer: '', size: '', direction: 'to_user' });
      setJudge(made);
      setNumber((before) => before + 1);
    } catch (error) {
      if (isNewest()) setTrouble(troubleWith(file, error));
    }
  };
  return (
    <>
      <p>
        A dump that <code>usercopy repro --shrink</code> made has the pages that its copy needs. The check judges it
        here, and any other copy of the same memory: what if the pointer, the size or the direction had been another
        one?
      </p>
      <FileField
        label="A shrunk dump"
        hint="ELF, packed by gzip or not: choose it, or drop it here"
        onFiles={([file]) => void take(file)}
      />
      {trouble === null ? null : <Trouble>{trouble}</Trouble>}
      {judge === null || form === null ? null : <WhatIf key={number} judge={judge} form={form} onChange={setForm} />}
    </>
  );
}

function WhatIf({
  judge,
  form,
  onChange,
}: {
  readonly judge: DumpJudge;
  readonly form: Form;
  readonly onChange: (form: Form) => void;
}) {
  const { kernel, variant } = judge.dump;
  const copy = useMemo(() => copyOf(form, kernel.bits), [form, judge]);
  const [judgement, setJudgement] = useState<DumpJudgement | string | null>(null);
  useEffect(() => {
    if (typeof copy === 'string') {
      setJudgement(copy);
      return undefined;
    }
    let isWanted = true;
    judge.judge(copy).then(
      (found) => isWanted && setJudgement(found),
      (error: unknown) =>
        isWanted && setJudgement(error instanceof UsercopyError ? error.message : 'This copy could not be judged.'),
    );
    return () => {
      isWanted = false;
    };
  }, [copy]);
  return (
    <article>
      <h2>
        {variant.name}, kernel {kernel.version.release}, profile {judge.profile.name}
      </h2>
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <label>
          pointer
          <input
            class="number"
            value={form.pointer}
            spellcheck={false}
            onInput={(event) => onChange({ ...form, pointer: event.currentTarget.value })}
          />
        </label>
        <label>
          size
          <input
            class="number"
            value={form.size}
            spellcheck={false}
            onInput={(event) => onChange({ ...form, size: event.currentTarget.value })}
          />
        </label>
        <label>
          direction
          <select
            value={form.direction}
            // One of the options below.
            onChange={(event) => onChange({ ...form, direction: event.currentTarget.value as Direction })}
          >
            <option value="to_user">to user memory</option>
            <option value="from_user">from user memory</option>
          </select>
        </label>
        {judge.dump.atCheck ? (
          <button type="button" onClick={() => onChange(formOf(judge.copyFromRegisters()))}>
            The dump's own copy
          </button>
        ) : null}
      </form>
      <div aria-live="polite">
        {judgement === null ? null : typeof judgement === 'string' ? (
          <Trouble>{judgement}</Trouble>
        ) : (
          <Found judge={judge} judgement={judgement} />
        )}
      </div>
    </article>
  );
}

function Found({ judge, judgement }: { readonly judge: DumpJudge; readonly judgement: DumpJudgement }) {
  const { verdict, message, warning } = judgement;
  const reproduction = useMemo(() => reproductionOf(judge, judgement), [judge, judgement]);
  const drawn = useMemo(() => drawnOf(judge, reproduction), [reproduction]);
  const { kind, word } = BADGES[verdict.outcome];
  return (
    <>
      <p class="verdict">
        <span class={`badge ${kind}`}>{word}</span>{' '}
        {message ??
          warning ??
          (verdict.outcome === 'good'
            ? `No line is printed (${verdict.by}).`
            : 'Memory that the check needs is not in this dump.')}
      </p>
      <h3>Memory around the copy</h3>
      <div dangerouslySetInnerHTML={{ __html: drawn.memory }} />
      <h3>Bytes</h3>
      <div dangerouslySetInnerHTML={{ __html: drawn.bytes }} />
      <h3>What it means</h3>
      <ul>
        {reproduction.explanation.lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </>
  );
}

function reproductionOf(judge: DumpJudge, judgement: DumpJudgement): Reproduction {
  const { dump } = judge;
  const { verdict, copy, message } = judgement;
  return {
    outcome: verdict.outcome === 'good' ? 'clean' : 'unknown',
    variant: dump.variant.name,
    profile: judge.profile.name,
    kernel: dump.kernel.version.release,
    copy: { ...copy, pointerFrom: 'given', sizeFrom: 'given', directionFrom: 'given' },
    report: null,
    check: { message, refused: refusedBy(verdict), judged: 'dump' },
    replay: null,
    explanation: explainDump(judge, judgement),
  };
}

/** Longer copies are a hairline of any drawing. */
const LONGEST_DRAWN = 1n << 40n;

function drawnOf({ dump }: DumpJudge, reproduction: Reproduction): { readonly memory: string; readonly bytes: string } {
  const { pointer, size } = reproduction.copy;
  if (pointer === null || size === null || size > LONGEST_DRAWN) {
    return { memory: '<p>The copy is too long to be drawn.</p>', bytes: '<p>The copy is too long to be shown.</p>' };
  }
  const scene = sceneOf(reproduction, membersOf(dump, reproduction));
  return {
    memory: typeof scene === 'string' ? `<p>${escaped(scene)}</p>` : drawing(scene),
    bytes: hexdump(reproduction, (address, length) => dump.kernel.read(address, length)),
  };
}

/** Members beside those that the copy touches: a task_struct has hundreds. */
const MEMBERS_AROUND = 3;

/** Members of the object's structure around the copy, as far as the dump knows them; of a union the first one. */
function membersOf({ kernel }: DumpJudge['dump'], { copy, explanation: { object } }: Reproduction): Member[] {
  if (object?.cache == null || object.size === null || kernel.types === null) return [];
  const struct = structOfCache(kernel.types, object.cache, Number(object.size));
  const members: Member[] = [];
  let end = 0;
  for (const { path, offset, size } of [...(struct?.members ?? [])].sort((left, right) => left.offset - right.offset)) {
    if (offset < end || size === 0) continue;
    members.push({ name: path, offset: BigInt(offset), size: BigInt(size) });
    end = offset + size;
  }
  const from = (copy.pointer ?? 0n) - (object.start ?? 0n);
  const to = from + (copy.size ?? 0n);
  const touched = members.flatMap(({ offset, size }, index) => (offset < to && offset + size > from ? [index] : []));
  const [first] = touched;
  const last = touched.at(-1);
  if (first === undefined || last === undefined) return [];
  return members.slice(Math.max(0, first - MEMBERS_AROUND), last + 1 + MEMBERS_AROUND);
}
