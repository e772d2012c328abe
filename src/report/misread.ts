/** Letters that stand for digits, as text has them that was read off a picture: where only a digit can stand, they are one. */

const LETTERS: Readonly<Record<string, string>> = { O: '0', l: '1', I: '1' };
const PLACES: readonly RegExp[] = [
  // `+0x1O/0x2l`
  /[+/][0O]x[0-9a-fOlI]{1,8}(?![\w])/g,
  // Values of registers: digits, with a name or a bracket before them.
  /(?<=[:=<[] ?)(?=[^\s>\]]{0,15}\d)[0-9a-fOlI]{16}(?![\w])/g,
  /\.[chS]:[\dOlI]{1,6}(?=[!\s)\]]|$)/g,
  /^(?:<\d{1,3}>)?\[ {0,6}[\dOlI]{1,8}\.[\dOlI]{6}\]/g,
  /\(offset [\dOlI]{1,20}, size [\dOlI]{1,20}\)/g,
  /(?<=\bCode:.{0,400} [<(]?)[0-9a-fOlI]{2}(?=[>)]? )/g,
];
/** Signs of it that no log has which was not read so. */
const SIGN =
  /[+/]Ox[0-9a-fOlI]|[+/]0x[0-9a-f]{0,7}[OlI][0-9a-fOlI]{0,7}(?!\w)|[:=] ?[0-9a-f]{2,15}[OlI][0-9a-fOlI]{1,13}(?!\w)|\.c:\d{0,5}[OlI]{1,5}\d{0,5}[!\s)]/;

export const isMisread = (text: string): boolean => SIGN.test(text);

/** A line with digits for such letters. */
export const withDigits = (line: string): string => PLACES.reduce((told, place) => told.replace(place, digitsOf), line);

const digitsOf = (place: string): string => place.replace(/[OlI]/g, (letter) => LETTERS[letter] ?? letter);
