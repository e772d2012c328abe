/** What this program writes about reports: it has their words in it, and is no log. */

/** In the head of every page that is written. */
export const GENERATOR = '<meta name="generator" content="usercopy">';

/** A line among the first comments of a scenario that is written. */
export const SCENARIO_MARK = '# generator: usercopy';

/** The first key of an answer in JSON, or of every object in a list of them. */
export const ANSWER_MARK = { generator: 'usercopy' } as const;

/** What `check`, `run` and `repro` say first: by whose rules they judged. */
const JUDGED_BY = String.raw`[\w ]{1,40}, kernel \S{1,200}, profile \S[^\n]{0,200}?`;

/** Of each form what it begins with, or has among its first lines. */
const FORMS: readonly (readonly [beginning: RegExp, what: string])[] = [
  [/^\s*\{\s*"usercopyHarness"\s*:\s*\d/, 'an attachment of usercopy prepare'],
  [
    /^\s*\{\s*"path"\s*:\s*"[^\n]{0,2000}",\s*"stamp"\s*:\s*"[^\n"]{0,2000}",\s*"rows"\s*:\s*\[/,
    'a state file of usercopy triage',
  ],
  [/^\s*<!doctype html>[\s\S]{0,4000}<meta name="generator" content="usercopy">/, 'a page of usercopy'],
  [new RegExp(`^(?:#[^\\n]{0,4000}\\r?\\n){0,20}${SCENARIO_MARK}\\r?\\n`), 'a scenario of usercopy run'],
  [/^\s*(?:\[\s*)?\{\s*"generator":\s*"usercopy"/, 'an answer of usercopy in JSON'],
  [/^\s*\{\s*"verdict":\s*\{\s*"title":/, 'an answer of usercopy repro'],
  [
    new RegExp(`^[^\\n]{1,2000}\\n\\n${JUDGED_BY}: [a-z]{5,13}\\n(?:report|check \\(|replay \\(|the copy: )`),
    'an answer of usercopy repro',
  ],
  [new RegExp(`^${JUDGED_BY} \\(kernel found by [^\\n]{1,200}\\)\\n`), 'an answer of usercopy check'],
  // A scenario's file and name stand before it; a table or counts behind it.
  [
    new RegExp(`^(?:[^\\n]{1,2000}\\n)?${JUDGED_BY}\\n(?:note: [^\\n]{0,500}\\n){0,9}(?:┌|\\d{1,10} copies, )`),
    'an answer of usercopy run',
  ],
  [new RegExp(`^### (?:[^\\n]{1,2000}<br>)?${JUDGED_BY}\\n`), 'an answer of usercopy run'],
  [/^\s*\{\s*"folder":[^\n]{1,2000}\s*"files":\s*\d+,\s*"skipped":/, 'an answer of usercopy triage'],
];

/** The line that `check`, `run` and `repro` say first, alone. */
export const ANSWER_HEAD = new RegExp(`^(?:### )?${JUDGED_BY}(?:: [a-z]{5,13}| \\(kernel found by [^\\n]{1,200}\\))?$`);

/** Which of its forms a text has, by its first characters; null for anything else. */
export const ownOutput = (head: string): string | null =>
  FORMS.find(([beginning]) => beginning.test(head))?.[1] ?? null;
