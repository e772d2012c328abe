/** Play with the check: a small memory, a copy that is dragged over it, and what each kernel says. */
import { useMemo, useRef, useState } from 'preact/hooks';
import type { Variant } from '../arch/driver.js';
import { variants } from '../arch/index.js';
import type { Check } from '../src/check/check.js';
import { parseProfile, profileList } from '../src/check/profiles.js';
import type { Copy, Direction } from '../src/check/verdict.js';
import type { Scene } from '../src/diagnosis/scene.js';
import { decidedBy, judgeSmall, printedLine, type SmallVerdict } from '../src/diagnosis/small-memory.js';
import { explainVerdict } from '../src/report/explain.js';
import type { Scenario } from '../src/scenario/format.js';
import { NEWEST_OWN_PROFILE } from '../src/scenario/own-guest.js';
import { writeScenario } from '../src/scenario/write.js';
import { guestFacts } from './data.js';
import { useCheck } from './explained.js';
import { BADGES, Download, Drawing, LinkButton, type TabProperties, Trouble } from './parts.js';
import {
  PLACE_LABELS,
  PLACES,
  type Place,
  type PlaceName,
  placeOf,
  type SlabForm,
  sound,
  walksFrames,
} from './places.js';
import { RunIt } from './run/run-it.js';
import { smallScenario } from './run/small-scenario.js';

interface Game {
  readonly place: PlaceName;
  readonly variant: string;
  readonly slab: SlabForm;
  /** Bytes from the start of what is shown. */
  readonly offset: number;
  readonly size: number;
  readonly direction: Direction;
  readonly frames: boolean;
}

const START: Game = {
  place: 'slab',
  variant: 'x86_64',
  slab: { objectSize: 64, redZone: 8, useroffset: 16, usersize: 32 },
  offset: 96,
  size: 24,
  direction: 'to_user',
  frames: false,
};

/** What a link brought; what is wrong in it is as at the start. */
function gameOf(text: string | undefined): Game {
  try {
    // Nothing is taken for granted of its values.
    const found = JSON.parse(text ?? '{}') as Partial<Record<keyof Game, unknown>>;
    const number = (value: unknown, otherwise: number): number =>
      typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
    // As above.
    const slab = (found.slab ?? {}) as Partial<Record<keyof SlabForm, unknown>>;
    return {
      place: PLACES.find((name) => name === found.place) ?? START.place,
      variant: variants.find(({ name }) => name === found.variant)?.name ?? START.variant,
      slab: sound({
        objectSize: number(slab.objectSize, START.slab.objectSize),
        redZone: number(slab.redZone, START.slab.redZone),
        useroffset: number(slab.useroffset, START.slab.useroffset),
        usersize: number(slab.usersize, START.slab.usersize),
      }),
      offset: number(found.offset, START.offset),
      size: number(found.size, START.size),
      direction: found.direction === 'from_user' ? 'from_user' : 'to_user',
      frames: found.frames === true,
    };
  } catch {
    return START;
  }
}

const MAINLINE = profileList.filter(({ name }) => /^\d/.test(name));

function variantOf(name: string): Variant {
  const found = variants.find((variant) => variant.name === name) ?? variants[0];
  if (found === undefined) throw new Error('there are no architectures');
  return found;
}

export function PlayTab({ linked, isShown }: TabProperties) {
  const [game, setGame] = useState(() => gameOf(linked?.text));
  const check = useCheck();
  const variant = variantOf(game.variant);
  const { walked } = variant.frames;
  const walks = game.frames && game.place === 'stack' && walked !== undefined;
  const place = useMemo(() => placeOf(game.place, variant, game.slab), [game.place, variant, game.slab]);
  const length = Number(place.end - place.start);
  const size = Math.min(Math.max(0, Math.round(game.size)), length);
  const offset = Math.min(Math.max(0, Math.round(game.offset)), length - size);
  const copy: Copy = { pointer: place.start + BigInt(offset), size: BigInt(size), direction: game.direction };
  const rows = useMemo(
    () =>
      check === null || typeof check === 'string' || !isShown
        ? []
        : verdictsOf(check, place, copy, walks ? variant : null),
    [check, isShown, place, offset, size, game.direction, walks],
  );
  const newest = rows.at(-1);
  const byRules = rows.find(({ name }) => name === NEWEST_OWN_PROFILE)?.verdict.verdict.outcome;
  const made = useMemo(
    () =>
      byRules === undefined
        ? null
        : smallScenario(game.place, place, game.slab, {
            ...{ variant: game.variant, copy, refused: byRules === 'bad', frames: walks },
          }),
    [byRules, place, offset, size, game.direction, walks],
  );
  const scene: Scene = {
    origin: null,
    parts: place.parts,
    copy: { start: copy.pointer, end: copy.pointer + copy.size },
    refused: newest?.verdict.verdict.outcome === 'bad',
  };
  const change = (changed: Partial<Game>): void => setGame({ ...game, offset, size, ...changed });
  return (
    <>
      <p>
        Choose a kind of memory, then drag the copy over it or move it with the sliders. The table shows what kernels of
        each era print for this copy; check.wasm judges every step.
      </p>
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <label>
          memory
          <select
            value={game.place}
            // One of the options below.
            onChange={(event) => change({ place: event.currentTarget.value as PlaceName, offset: 0 })}
          >
            {PLACES.map((name) => (
              <option key={name} value={name}>
                {PLACE_LABELS[name]}
              </option>
            ))}
          </select>
        </label>
        <label>
          architecture
          <select value={game.variant} onChange={(event) => change({ variant: event.currentTarget.value })}>
            {variants.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          direction
          <select
            value={game.direction}
            // One of the options below.
            onChange={(event) => change({ direction: event.currentTarget.value as Direction })}
          >
            <option value="to_user">to user memory</option>
            <option value="from_user">from user memory</option>
          </select>
        </label>
        {game.place === 'slab' ? (
          <SlabFields form={game.slab} onChange={(slab) => change({ slab: sound(slab) })} />
        ) : null}
        {game.place === 'stack' && walked !== undefined ? (
          <label>
            <input
              type="checkbox"
              checked={game.frames}
              onChange={(event) => change({ frames: event.currentTarget.checked })}
            />{' '}
            the kernel walks frames ({walked.option === null ? '' : `${walked.option}, `}from {sinceOf(walked)} on)
          </label>
        ) : null}
      </form>
      <Draggable
        length={length}
        offset={offset}
        size={size}
        onMove={(to) => change({ offset: to })}
        onResize={(to) => change({ size: to })}
      >
        <Drawing scene={scene} />
      </Draggable>
      <form class="controls wide" onSubmit={(event) => event.preventDefault()}>
        <Slider
          label="begins at byte"
          value={offset}
          most={length - size}
          onInput={(value) => change({ offset: value })}
        />
        <Slider
          label="bytes"
          value={size}
          most={length}
          onInput={(value) => change({ size: value, offset: Math.min(offset, length - value) })}
        />
      </form>
      <div aria-live="polite" class="said">
        {typeof check === 'string' ? <Trouble>{check}.</Trouble> : null}
        {newest === undefined ? null : <Newest row={newest} copy={copy} />}
      </div>
      <section class="scroll" tabIndex={0} aria-label="What each era says">
        <table>
          <thead>
            <tr>
              <th>kernels</th>
              <th>what they print</th>
              <th>decided by</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ name, kernels, verdict }) => (
              <tr key={name}>
                <th scope="row">{kernels}</th>
                <td>{printedLine(verdict)}</td>
                <td>{decidedBy(verdict)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {made === null ? null : <Section made={made} />}
      <p>
        <LinkButton linked={() => ({ tab: 'play', text: JSON.stringify({ ...game, offset, size }) })} />
      </p>
    </>
  );
}

function Section({ made }: { readonly made: Scenario | string }) {
  const guests = useMemo(guestFacts, []);
  const variant = typeof made === 'string' ? '' : (made.guest.variant ?? '');
  const why = typeof made === 'string' ? made : guests.has(variant) ? null : `there is no built-in guest of ${variant}`;
  return (
    <section aria-labelledby="run-small">
      <h3 id="run-small">Run it</h3>
      {why !== null || typeof made === 'string' ? (
        <p>There is nothing to run: {why}.</p>
      ) : (
        <>
          <p>
            A built-in guest has memory of this kind, too, by the rules of {NEWEST_OWN_PROFILE}:{' '}
            <code>usercopy run copy.yaml</code> makes the same copy in it.{' '}
            <Download name="copy.yaml" text={writeScenario(made)}>
              Download copy.yaml
            </Download>
          </p>
          <RunIt scenario={made} variant={variant} />
        </>
      )}
    </section>
  );
}

interface Row {
  readonly name: string;
  readonly kernels: string;
  readonly verdict: SmallVerdict;
}

/** @param walking the variant whose kernels walk frames; null where they do not, or are built without */
function verdictsOf(check: Check, { memory }: Place, copy: Copy, walking: Variant | null): Row[] {
  return MAINLINE.map(({ name, kernels }) => {
    if (walking === null || !walksFrames(walking, name)) {
      const { frames: _, ...known } = memory;
      return { name, kernels, verdict: judgeSmall(check, known, parseProfile(name), copy) };
    }
    return { name, kernels, verdict: judgeSmall(check, memory, parseProfile(`${name},frames`), copy) };
  });
}

const sinceOf = ({ since: { major, minor } }: NonNullable<Variant['frames']['walked']>): string => `${major}.${minor}`;

function Newest({ row: { kernels, verdict }, copy }: { readonly row: Row; readonly copy: Copy }) {
  const { kind, word } = BADGES[verdict.verdict.outcome];
  return (
    <>
      <p class="verdict">
        <span class={`badge ${kind}`}>{word}</span> {kernels}: {printedLine(verdict)}
      </p>
      <ul>
        {explainVerdict(verdict.verdict, copy).map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </>
  );
}

function SlabFields({ form, onChange }: { readonly form: SlabForm; readonly onChange: (form: SlabForm) => void }) {
  const fields: readonly (readonly [keyof SlabForm, string])[] = [
    ['objectSize', 'object size'],
    ['redZone', 'red zone'],
    ['useroffset', 'useroffset'],
    ['usersize', 'usersize'],
  ];
  return (
    <>
      {fields.map(([name, label]) => (
        <label key={name}>
          {label}
          <input
            type="number"
            min={0}
            max={4096}
            value={form[name]}
            onChange={(event) => onChange({ ...form, [name]: event.currentTarget.valueAsNumber })}
          />
        </label>
      ))}
    </>
  );
}

function Slider({
  label,
  value,
  most,
  onInput,
}: {
  readonly label: string;
  readonly value: number;
  readonly most: number;
  readonly onInput: (value: number) => void;
}) {
  return (
    <label>
      {label}: <output>{value}</output>
      <input
        type="range"
        min={0}
        max={most}
        value={value}
        onInput={(event) => onInput(event.currentTarget.valueAsNumber)}
      />
    </label>
  );
}

/** Pixels at the copy's end that change its size. */
const GRIP = 12;

/** Dragging moves the copy; dragging its end changes its size. The sliders do the same for keyboards. */
function Draggable({
  length,
  offset,
  size,
  onMove,
  onResize,
  children,
}: {
  readonly length: number;
  readonly offset: number;
  readonly size: number;
  readonly onMove: (offset: number) => void;
  readonly onResize: (size: number) => void;
  readonly children: preact.ComponentChildren;
}) {
  const held = useRef<{ readonly isEnd: boolean; readonly from: number } | null>(null);
  const byteAt = (event: PointerEvent, element: HTMLElement): { byte: number; grip: number } => {
    const { left, width } = (element.querySelector('svg') ?? element).getBoundingClientRect();
    return { byte: ((event.clientX - left) / width) * length, grip: (GRIP / width) * length };
  };
  return (
    <div
      class="draggable"
      onPointerDown={(event) => {
        if (!(event.target instanceof SVGElement)) return;
        const { byte, grip } = byteAt(event, event.currentTarget);
        const isEnd = size > 0 && Math.abs(byte - offset - size) < grip;
        const isInside = byte >= offset && byte < offset + size;
        held.current = { isEnd, from: isInside ? byte - offset : size / 2 };
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
        if (!isEnd && !isInside) onMove(byte - size / 2);
      }}
      onPointerMove={(event) => {
        if (held.current === null) return;
        const { byte } = byteAt(event, event.currentTarget);
        if (held.current.isEnd) onResize(Math.max(1, Math.min(byte, length) - offset));
        else onMove(byte - held.current.from);
      }}
      onPointerUp={() => {
        held.current = null;
      }}
      onPointerCancel={() => {
        held.current = null;
      }}
    >
      {children}
    </div>
  );
}
