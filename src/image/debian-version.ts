/** The order of Debian's version numbers (deb-version(7)). */

/** Below 0 when `left` is older. */
export function compareVersions(left: string, right: string): number {
  const [leftEpoch, leftRest] = split(left);
  const [rightEpoch, rightRest] = split(right);
  return leftEpoch - rightEpoch || compareParts(leftRest, rightRest);
}

function split(version: string): [number, string] {
  const colon = version.indexOf(':');
  return colon < 0 ? [0, version] : [Number(version.slice(0, colon)), version.slice(colon + 1)];
}

/** Text and numbers in turn; in text a tilde sorts before everything, even the end, and letters before the rest. */
function compareParts(left: string, right: string): number {
  const parts = (version: string): string[] => version.match(/\D+|\d+/g) ?? [];
  const texts = (version: string): string[] => (/^\d/.test(version) ? ['', ...parts(version)] : parts(version));
  const [these, those] = [texts(left), texts(right)];
  for (let index = 0; index < Math.max(these.length, those.length); index++) {
    const [one = '', other = ''] = [these[index], those[index]];
    const order = index % 2 === 1 ? Number(one) - Number(other) : compareText(one, other);
    if (order !== 0) return order;
  }
  return 0;
}

function compareText(left: string, right: string): number {
  const weight = (character: string | undefined): number => {
    if (character === '~') return -1;
    if (character === undefined) return 0;
    return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
  };
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = weight(left[index]) - weight(right[index]);
    if (order !== 0) return order;
  }
  return 0;
}
