/**
 * Logs that are records with fields: the journal's JSON, export and verbose formats, JSON lines of containers and
 * collectors, an array out of a search. The field in which a kernel's line stands is the field of all its lines.
 */
import { looksLikeKernel, messageStart } from './anchors.js';

export interface RecordText {
  /** Line of the text in which the value begins. */
  readonly number: number;
  readonly text: string;
}

interface Field extends RecordText {
  readonly key: string;
}

type LogRecord = readonly Field[];

/** Fields that say who logged; the kernel's lines agree in them. */
const SOURCES = [
  '_TRANSPORT',
  'SYSLOG_IDENTIFIER',
  'syslog_identifier',
  'ident',
  'appname',
  'app_name',
  'program',
  'tag',
  'transport',
];
const MOST_FIELDS = 4000;
const LONGEST_LINE = 64 << 10;

/** The log's lines out of the records; null where the text is none of these formats. */
export function recordsOf(text: string): RecordText[] | null {
  const records = journalRecords(text) ?? jsonRecords(text);
  if (records === null || hasPlainMessage(text)) return null;
  const anchor = records.find((record) => record.some(isText)) ?? anchorInParts(records);
  const field = anchor?.find(isText) ?? anchor?.find(isEnded);
  if (anchor === undefined || field === undefined) return null;
  const source = SOURCES.map((key) => [key, fieldOf(anchor, key)] as const).filter(([, value]) => value !== null);
  return withoutParts(
    records
      .filter((record) => source.every(([key, value]) => (fieldOf(record, key) ?? value) === value))
      .flatMap((record) => record.filter(({ key }) => key === field.key)),
  );
}

const isEnded = ({ text }: Field): boolean => text.endsWith('\n');

/** A record with a line's end, where the kernel's words are only whole in several of them. */
function anchorInParts(records: readonly LogRecord[]): LogRecord | undefined {
  const found = records.find((record) => record.some(isEnded));
  const key = found?.find(isEnded)?.key;
  const lines = withoutParts(records.flatMap((record) => record.filter((field) => field.key === key)));
  return lines.some((line) => looksLikeKernel(line.text)) ? found : undefined;
}

/** Where records end their lines (Docker's do), one that does not is a part, and goes on in the next. */
function withoutParts(records: readonly RecordText[]): RecordText[] {
  const ended = records.filter(({ text }) => text.endsWith('\n')).length;
  if (4 * ended < records.length || ended === records.length) return [...records];
  const whole: RecordText[] = [];
  let open: RecordText | null = null;
  for (const record of records) {
    const joined: RecordText = open === null ? record : { ...open, text: open.text + record.text };
    const isPart = !record.text.endsWith('\n') && joined.text.length < LONGEST_LINE;
    if (!isPart) whole.push(joined);
    open = isPart ? joined : null;
  }
  return open === null ? whole : [...whole, open];
}

/** A mail may hold a log as it is and a line of JSON: then it is no file of records. */
function hasPlainMessage(text: string): boolean {
  const line = /^(?![ \t]{0,40}(?:["{[]|data:|_{0,2}[A-Z_]+=)).{0,400}kernel memory (?:exposure|overwrite)/gim;
  const found = line.exec(text);
  return found !== null && messageStart(found[0] + text.slice(line.lastIndex, line.lastIndex + 40)) !== null;
}

const isText = ({ text }: Field): boolean => looksLikeKernel(text);
const fieldOf = (record: LogRecord, name: string): string | null =>
  record.find(({ key }) => key === name)?.text ?? null;

const JOURNAL_FIELD = /^(\s{0,8})(_{0,2}[A-Z][A-Z0-9_]{1,63})=(.*)$/;

/** `journalctl -o export` and `-o verbose`: a field a line; records end at an empty line, or at one that is not indented. */
function journalRecords(text: string): LogRecord[] | null {
  if (!/^\s{0,8}MESSAGE=/m.test(text) || !/^\s{0,8}(?:_TRANSPORT|SYSLOG_IDENTIFIER|PRIORITY|_HOSTNAME)=/m.test(text)) {
    return null;
  }
  const records: LogRecord[] = [];
  let record: Field[] = [];
  let number = 0;
  for (const raw of text.split('\n')) {
    number++;
    const line = raw.replace(/\r$/, '');
    const field = JOURNAL_FIELD.exec(line);
    if (field !== null) {
      const [, , key = '', text = ''] = field;
      if (record.length < MOST_FIELDS) record.push({ key, text, number });
      continue;
    }
    const ends = line.trim() === '' || !/^\s/.test(line);
    if (ends && record.length > 0) {
      records.push(record);
      record = [];
    }
  }
  if (record.length > 0) records.push(record);
  return records;
}

/** Every object of the text that has fields with strings, whatever stands around them. */
function jsonRecords(text: string): LogRecord[] | null {
  if (!/^\W{0,200}?(?:data: ?)?[[{]/.test(text) && !/^\s{0,40}\{.{0,4000}\}\s*$/m.test(text)) return null;
  const records: LogRecord[] = [];
  const open: Field[][] = [];
  let number = 1;
  let key: string | null = null;
  let keyNumber = 1;
  for (let at = 0; at < text.length; ) {
    const letter = text.charCodeAt(at);
    const record = open.at(-1);
    if (letter === 0x0a) {
      number++;
      at++;
    } else if (letter === 0x7b) {
      open.push([]);
      key = null;
      at++;
    } else if (letter === 0x7d) {
      const done = open.pop();
      if (done !== undefined && done.length > 0) records.push(done);
      key = null;
      at++;
    } else if (letter === 0x22 && record !== undefined) {
      const end = stringEnd(text, at);
      if (end === null) {
        at++;
        continue;
      }
      const value = text.slice(at + 1, end);
      at = end + 1;
      if (key === null) {
        const colon = /\s{0,20}:\s{0,20}/y;
        colon.lastIndex = at;
        const found = colon.exec(text);
        if (found === null) continue;
        key = value;
        keyNumber = number;
        at += found[0].length;
        const bytes = text[at] === '[' ? bytesAt(text, at) : null;
        if (bytes !== null) {
          record.push({ key, text: bytes.text, number: keyNumber });
          at = bytes.end;
          key = null;
        } else if (text[at] !== '"') key = null;
      } else {
        if (record.length < MOST_FIELDS) record.push({ key, text: unescaped(value), number: keyNumber });
        key = null;
      }
    } else at++;
  }
  // The end is missing where a file was cut.
  for (const record of open) if (record.length > 0) records.push(record);
  return records.length === 0 ? null : records;
}

/** The quotation mark that ends a string; null where the line ends before: then it was none. */
function stringEnd(text: string, begin: number): number | null {
  for (let at = begin + 1; at < text.length; at++) {
    const letter = text.charCodeAt(at);
    if (letter === 0x5c) at++;
    else if (letter === 0x22) return at;
    else if (letter === 0x0a) return null;
  }
  return null;
}

function unescaped(value: string): string {
  if (!value.includes('\\')) return value;
  try {
    return String(JSON.parse(`"${value}"`));
  } catch {
    return value;
  }
}

/** The journal writes a message that is no UTF-8 as its bytes. */
function bytesAt(text: string, at: number): { readonly text: string; readonly end: number } | null {
  const numbers = /\[(?:\s{0,10}\d{1,3}\s{0,10},){0,20000}\s{0,10}\d{1,3}\s{0,10}\]/y;
  numbers.lastIndex = at;
  const found = numbers.exec(text)?.[0];
  if (found === undefined) return null;
  const bytes = Uint8Array.from(found.slice(1, -1).split(','), Number);
  return { text: new TextDecoder().decode(bytes), end: at + found.length };
}
