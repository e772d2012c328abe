/**
 * The one place that prints. What comes out of dumps, logs, state files and file names may hold what a terminal obeys:
 * escapes, C1 controls, characters that change the direction of writing. They are shown as `\u001b`, which in JSON is the
 * exact value. Colours of our own go through under a mark that nothing from outside can know.
 */
import pc from 'picocolors';

/** Controls but tab and newline, what formats text without being seen (directions of writing above all), other line ends. */
const OBEYED = /(?![\t\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const escaped = (character: string): string =>
  Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');

/** A text as a terminal can be given it: lines stay lines. */
export const visible = (text: string): string => text.replace(OBEYED, escaped);

/** The same on one line, for a sentence. */
export const visibleLine = (text: string): string => visible(text).replaceAll('\n', escaped);

/** https://no-color.org, https://force-color.org; a pipe has no colours, whatever runs it. */
function hasColours(stream: { readonly isTTY?: boolean }): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return stream.isTTY === true && TERM !== 'dumb';
}

const ESCAPE = '\u001b[';
const ours = pc.createColors(hasColours(process.stdout));

interface Marks {
  /** Begins every mark of this process. Tables count control characters as nothing wide. */
  readonly secret: string;
  /** SGR sequences as picocolors writes them, with `secret` in the place of the escape. */
  readonly mark: RegExp;
}

/** Made when the first colour is wanted: where there are none, node:crypto is not loaded for them. */
class LazyMarks {
  /** null: none was wanted yet, and no text has one. */
  made: Marks | null = null;

  get(): Marks {
    this.made ??= LazyMarks.#make();
    return this.made;
  }

  static #make(): Marks {
    const { randomBytes } = process.getBuiltinModule('node:crypto');
    const secret = Array.from(randomBytes(12), (byte) => String.fromCharCode(0x0e + (byte & 7))).join('');
    return { secret, mark: new RegExp(`${secret}(\\d{1,2}m)`, 'g') };
  }
}

const marks = new LazyMarks();
const marked = (text: string): string => (text.includes(ESCAPE) ? text.replaceAll(ESCAPE, marks.get().secret) : text);
const coloured =
  (paint: (text: string) => string) =>
  (text: string): string =>
    marked(paint(visible(text)));

/** Colours of standard output, for texts that go to `print` or into tables. */
export const colours = {
  red: coloured(ours.red),
  green: coloured(ours.green),
  yellow: coloured(ours.yellow),
  bold: coloured(ours.bold),
};

/** A text as it was before `colours` painted it, for forms that have none. */
export const withoutColours = (text: string): string =>
  marks.made === null ? text : text.replaceAll(marks.made.mark, '');

/** Marks become escapes, everything else that a terminal obeys becomes visible. */
function toTerminal(text: string): string {
  if (marks.made === null) return visible(text);
  let done = 0;
  let shown = '';
  for (const mark of text.matchAll(marks.made.mark)) {
    shown += visible(text.slice(done, mark.index)) + ESCAPE + mark[1];
    done = mark.index + mark[0].length;
  }
  return shown + visible(text.slice(done));
}

/** Makes a text of cells, in which escapes are ours: `lay` gets the cells as a terminal would, and its text is marked again. */
export function laidOut(cells: readonly (readonly string[])[], lay: (cells: string[][]) => string): string {
  return marked(lay(cells.map((row) => row.map(toTerminal))));
}

/** A text and a newline to standard output. */
export function print(text: string): void {
  write(`${text}\n`);
}

/** A text to standard output. */
export function write(text: string): void {
  process.stdout.write(toTerminal(text));
}

/** One line to standard error, whatever the text holds. */
export function printError(text: string): void {
  process.stderr.write(`${visibleLine(text)}\n`);
}

/** What a person should know although the answer stands: on standard error, beside the answer. */
export const warn = (text: string): void => printError(`usercopy: warning: ${text}`);

/** A text of several lines to standard error. */
export function writeError(text: string): void {
  process.stderr.write(visible(text));
}

/** A line on standard error that says how far long work is, and goes away; silent unless that is a terminal. */
export const progress = {
  show(text: string): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r${ESCAPE}K${visibleLine(text).slice(0, (process.stderr.columns ?? 80) - 1)}`);
  },
  clear(): void {
    if (process.stderr.isTTY) process.stderr.write(`\r${ESCAPE}K`);
  },
  /** Says what is waited for, until it is there or fails. */
  async during<T>(text: string, work: Promise<T>): Promise<T> {
    progress.show(text);
    try {
      return await work;
    } finally {
      progress.clear();
    }
  },
};
