/** Lines that a chat, a forum or a tracker puts between those of a log: who wrote when, buttons and counts. No kernel prints them. */

const TIME = String.raw`\d{1,2}(?::\d\d){1,2}(?: ?[ap]\.?m\.?)?|\d{1,2}[.h]\d\d|\d{1,2} ?[ap]\.?m\.?`;
const DAY = '(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?';
const MONTH = '(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)(?:uary|ruary|ch|il|ust|ember|ober)?';
/** Not of digits alone: with such a date a BIOS ends. */
const NAMED_DATE = String.raw`${MONTH}\.? \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?|\d{1,2}(?:st|nd|rd|th|\.)? ${MONTH}\.?(?:,? \d{4})?`;
const DATE = String.raw`(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|${NAMED_DATE}|today|yesterday|${DAY})`;
const NAME = String.raw`[\p{L}@][\p{L}\p{M}.'@-]{0,30}(?: [\p{L}\p{M}.'@-]{1,30}){0,5}`;
const EMOJI = String.raw`(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\ufe0f|\u200d){1,8}`;

const FORMS: readonly RegExp[] = [
  // When, and who: `10:31`, `Bob  10:31 AM`, `bob — Today at 10:31`, `1/5/2024 10:31 AM`.
  new RegExp(`^(?:${NAME})?[ ,:·•|—–-]{0,4}[[(]?(?:${DATE},?(?: at)? )?(?:${TIME})[\\])]?(?: \\(edited\\))?$`, 'iu'),
  new RegExp(`^(?:${DAY},? (?:${NAMED_DATE})|${NAMED_DATE}|${DAY}|today|yesterday)$`, 'iu'),
  // What somebody writes: `[10:31] bob: look`, `[05.01.24, 10:31] Bob: what is that?`, `10:31 <bob> look`.
  new RegExp(`^[[(]?(?:${DATE},? )?(?:${TIME})[\\])]? (?:<${NAME}>|${NAME}:) `, 'iu'),
  // Buttons and counts.
  /^(?:\(?edited\)?|new|reply|replied|quote|share|copy(?: code| to clipboard)?|show (?:more|less)|view thread|translate|react|add reaction|likes?|pinned|seen by \d{1,4}|added an? (?:emoji|reaction)|\d{1,4} (?:repl(?:y|ies)|likes?|reactions?|comments?)|last reply\b.{0,40})$/i,
  new RegExp(`^(?::[\\w+-]{1,40}:|${EMOJI}|[+-]1)(?: {0,2}\\d{1,4})?$`, 'u'),
];
const LONGEST = 160;

/** Whether a line without its prefix is a chat's own. */
export const isOfChat = (line: string): boolean => {
  const text = line.trim();
  return text !== '' && text.length <= LONGEST && FORMS.some((form) => form.test(text));
};
