/** Small pieces that the tabs share. */
import type { ComponentChildren } from 'preact';
import { useEffect, useErrorBoundary, useRef, useState } from 'preact/hooks';
import type { Verdict } from '../src/check/verdict.js';
import { drawing } from '../src/diagnosis/drawing.js';
import type { Scene } from '../src/diagnosis/scene.js';
import { messageOf, UsercopyError } from '../src/errors.js';
import { fragmentOf, type Linked, LONGEST_LINK } from './link.js';

export interface TabProperties {
  /** What a link brought for this tab. */
  readonly linked: Linked | null;
  readonly isShown: boolean;
}

/** How a verdict is shown in a word, and that word's class. */
export const BADGES = {
  bad: { kind: 'refused', word: 'refused' },
  good: { kind: 'passed', word: 'passes' },
  unreadable: { kind: 'unknown', word: 'unreadable' },
} as const satisfies Record<Verdict['outcome'], { readonly kind: string; readonly word: string }>;

/** The drawing that `repro --html` has too. Its text is escaped where it is made. */
export function Drawing({ scene }: { readonly scene: Scene }) {
  return <div dangerouslySetInnerHTML={{ __html: drawing(scene) }} />;
}

export function Trouble({ children }: { readonly children: ComponentChildren }) {
  return (
    <p class="trouble" role="alert">
      {children}
    </p>
  );
}

/** A field that takes files by choosing and by dropping: one, or several at once where there may be `many`. */
export function FileField({
  label,
  hint,
  accept,
  many = false,
  onFiles,
}: {
  readonly label: string;
  readonly hint: string;
  readonly accept?: string;
  readonly many?: boolean;
  readonly onFiles: (files: readonly [File, ...File[]]) => void;
}) {
  const [over, setOver] = useState(false);
  const take = (files: FileList | null | undefined): void => {
    const [first, ...others] = files ?? [];
    if (first !== undefined) onFiles(many ? [first, ...others] : [first]);
  };
  return (
    <label
      class={over ? 'file over' : 'file'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer?.files);
      }}
    >
      <span>{label}</span> <small>{hint}</small>
      <input
        type="file"
        accept={accept}
        multiple={many}
        onChange={(event) => {
          take(event.currentTarget.files);
          // The same file may be chosen again.
          event.currentTarget.value = '';
        }}
      />
    </label>
  );
}

/** Gives a file to the person who asks for it; it is made in the page. */
export function Download({
  name,
  text,
  children,
}: {
  readonly name: string;
  readonly text: string;
  readonly children: ComponentChildren;
}) {
  const save = (): void => {
    const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return (
    <button type="button" onClick={save}>
      {children}
    </button>
  );
}

/** Puts the view into the address, and the address into the clipboard where the browser lets it. */
export function LinkButton({ linked }: { readonly linked: () => Linked }) {
  const [said, say] = useState('');
  const link = async (): Promise<void> => {
    let fragment: string;
    try {
      fragment = await fragmentOf(linked());
    } catch (error) {
      say(`The link could not be made: ${messageOf(error)}.`);
      return;
    }
    if (fragment.length > LONGEST_LINK) {
      say(
        `This view needs a link of ${Math.ceil(fragment.length / 1000)} thousand letters: too long. Cut out the lines around the report.`,
      );
      return;
    }
    history.replaceState(null, '', `#${fragment}`);
    try {
      await navigator.clipboard.writeText(location.href);
      say('The link is in the address and on the clipboard. It holds the text itself.');
    } catch {
      say('The link is in the address. It holds the text itself.');
    }
  };
  return (
    <>
      <button type="button" onClick={() => void link()}>
        Link to this view
      </button>{' '}
      <small role="status">{said}</small>
    </>
  );
}

/** What is under way and may be overtaken: a slower one that was begun earlier must not win. `begin()` answers whether it is still the newest. */
export function useNewest(): () => () => boolean {
  const begun = useRef(0);
  return () => {
    const mine = ++begun.current;
    return () => mine === begun.current;
  };
}

/** What went wrong with a file, in a sentence. */
export const troubleWith = (file: File, error: unknown): string =>
  error instanceof UsercopyError ? error.message : `${file.name} could not be read: ${messageOf(error)}.`;

/** Shows its children, and in their place what went wrong where they failed. */
export function Guarded({ children }: { readonly children: ComponentChildren }) {
  const [error, forget] = useErrorBoundary();
  if (error === undefined) return <>{children}</>;
  return (
    <>
      <Trouble>This part of the page failed: {messageOf(error)}. It is a fault of the page: please report it.</Trouble>
      <button type="button" onClick={forget}>
        Begin again
      </button>
    </>
  );
}

/** A value that follows another one once that rests. */
export function useRested<Value>(value: Value, milliseconds: number): Value {
  const [rested, setRested] = useState(value);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const timer = setTimeout(() => setRested(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}
