/** What this program writes about reports: it has their words in it, and is no log. */

/** In the head of every page that is written. */
export const GENERATOR = '<meta name="generator" content="usercopy">';

/** Of each form what it begins with, or has among its first lines. */
const FORMS: readonly (readonly [beginning: RegExp, what: string])[] = [
  [/^\s*\{"usercopyHarness":\d/, 'an attachment of usercopy prepare'],
  [/^\s*\{"path":"[^\n]{0,2000}","stamp":"[^\n"]{0,2000}","rows":\[/, 'a state file of usercopy triage'],
  [/^\s*<!doctype html>[\s\S]{0,4000}<meta name="generator" content="usercopy">/, 'a page of usercopy'],
  [/^(?=[\s\S]*^guest:)(?=[\s\S]*^(?:objects|steps):)/m, 'a scenario of usercopy run'],
  [/^\s*\{\s*"verdict":\s*\{\s*"title":/, 'an answer of usercopy repro'],
  [
    /^[^\n]{1,2000}\n\n[^\n]{1,200}, kernel \S{1,200}, profile [^\n]{1,200}: [a-z]{5,13}\n(?:report|check \(|replay \(|the copy: )/,
    'an answer of usercopy repro',
  ],
  [/^\s*\{\s*"folder":[^\n]{1,2000}\s*"files":\s*\d+,\s*"skipped":/, 'an answer of usercopy triage'],
];

/** Which of its forms a text has, by its first characters; null for anything else. */
export const ownOutput = (head: string): string | null =>
  FORMS.find(([beginning]) => beginning.test(head))?.[1] ?? null;
