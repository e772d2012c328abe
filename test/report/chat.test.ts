/** Logs that were copied out of a chat or a tracker, whose own lines stand between the kernel's. */
import { describe, it } from 'vitest';
import { expectNothingWrong, PLAIN, read, STAMPED } from './gadget.js';

const LINES = [
  '10:31',
  '10:31 AM',
  '10:31:05 PM',
  '10.31',
  '10h31',
  'Bob  10:31 AM',
  'Ada Lovelace 22:07',
  'bob [10:31 AM]',
  'bob — Today at 10:31',
  'Yesterday at 9:07 PM',
  '05.01.2024, 10:31',
  '1/5/2024 10:31 AM',
  'January 5, 2024 at 10:31 AM',
  'Friday, January 5th',
  'Saturday',
  '[10:31] bob: look at this',
  '[05.01.24, 10:31:07] Ada: what is that?',
  '10:31 <bob> the same here',
  '(edited)',
  'New',
  'Reply',
  '3 replies',
  'Last reply today at 10:32 AM',
  'Copy code',
  ':+1: 2',
  '👍 2',
  '🎉',
  '+1',
];

/** Broken at a column, so that the next line is a rest. */
const broken = STAMPED.flatMap((line) => line.match(/.{1,80}/g) ?? []);

describe.each(LINES)('the line %j between any two lines', (stranger) => {
  it.each([
    ['with stamps', STAMPED, false],
    ['without stamps', PLAIN, false],
    ['broken at 80', broken, true],
  ])('is part of no value of a log %s', (_name, lines, mayLack) => {
    for (let at = 1; at < lines.length; at++)
      expectNothingWrong(read([...lines.slice(0, at), stranger, ...lines.slice(at)]), mayLack);
  });
});
