/** What a page would load of this project; `test/browser.test.ts` bundles it and runs it without Node.js. */
export { variants } from '../../arch/index.js';
export { Check } from '../../src/check/check.js';
export { parseProfile, profileForVersion } from '../../src/check/profiles.js';
export { judgeReport, parseReports } from '../../src/diagnosis/index.js';
export { readDumpFile } from '../../src/dump/dump-file.js';
export { memorySource } from '../../src/dump/memory-source.js';
export { checkParametersOf } from '../../src/introspect/parameters.js';
export { findBtf, parseBtf } from '../../src/kernel/btf.js';
export { indexOfBytes, latin1, occurrences } from '../../src/kernel/bytes.js';
export { parseElf, sectionBytes, symbolsFromElf } from '../../src/kernel/elf.js';
export { decompress } from '../../src/kernel/payload/decompress.js';
export { portableZlib } from '../../src/kernel/payload/portable-zlib.js';
export { findBanner } from '../../src/kernel/version.js';
