#!/usr/bin/env node
/**
 * The prose of the README, of docs/ and of the help of every verb, looked at as a reader would: doubled words, `a` before a vowel,
 * words that say nothing, sentences too long to be read once, and turns of phrase that no native reader uses. Exit status 1 when
 * something is found, 2 where nothing is compiled whose help could be read.
 *
 * docs/decisions.md and docs/notes/ are records: there, sentences may be long.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toString as textOf } from 'nlcst-to-string';
import remarkGfm from 'remark-gfm';
import remarkParse from 'remark-parse';
import remarkRetext from 'remark-retext';
import remarkStringify from 'remark-stringify';
import retextEnglish from 'retext-english';
import retextIndefiniteArticle from 'retext-indefinite-article';
import retextRepeatedWords from 'retext-repeated-words';
import retextSimplify from 'retext-simplify';
import { unified } from 'unified';
import { visit } from 'unist-util-visit';
import { VFile } from 'vfile';

const root = fileURLToPath(new URL('..', import.meta.url));
/** The parser takes two sentences for one where code ends the first; this is one and a half of what a reader holds. */
const MOST_WORDS = 50;
const RECORDS = /^docs\/(decisions\.md|notes\/)/;

/** Words that retext-simplify would replace, and that are the field's own here; and forms that are plain English. */
const FIELDS_WORDS = [
  ...[
    'address',
    'addressed',
    'capability',
    'forward',
    'function',
    'identical',
    'identify',
    'monitor',
    'multiple',
    'option',
  ],
  ...['parameters', 'request', 'type', 'validate', 'provide', 'initial', 'remain', 'however', 'modify', 'equivalent'],
  ...[
    'it is',
    'there is',
    'there are',
    'all of',
    'relative to',
    'minimum',
    'maximum',
    'require',
    'contains',
    'previous',
    'interface',
    'maintain',
    'effect',
  ],
];

/** What reads as translated, and what to write instead. */
const TRANSLATED = [
  [/\b(?:is|are|was|were|be) told(?! to\b)/i, 'say who says it: shows, names, prints, reports'],
  [/^redo:/i, 'a whole sentence'],
  [/\bis no matter of\b/i, 'does not concern'],
  [/\bsome hundred\b/i, 'a few hundred'],
  [/\bwhat there is\b/i, 'name it'],
  [/\b(?:tells?|told) (?:it|them|that|what|which|whether|of)\b/i, 'say who says it: shows, names, prints, reports'],
  [/\bworks? (?:it|them|the \w+) out\b/i, 'computes, or finds'],
];

function retextLongSentences() {
  return (tree, file) => {
    visit(tree, 'SentenceNode', (sentence) => {
      let words = 0;
      visit(sentence, 'WordNode', () => {
        words++;
      });
      if (words > MOST_WORDS)
        file.message(`a sentence of ${words} words: make it several`, { place: sentence.position });
    });
  };
}

function retextTranslated() {
  return (tree, file) => {
    visit(tree, 'SentenceNode', (sentence) => {
      const text = textOf(sentence);
      for (const [pattern, advice] of TRANSLATED) {
        const found = pattern.exec(text)?.[0];
        if (found !== undefined)
          file.message(`'${found}' reads as translated: ${advice}`, { place: sentence.position });
      }
    });
  };
}

const language = () =>
  unified()
    .use(retextEnglish)
    .use(retextRepeatedWords)
    .use(retextIndefiniteArticle)
    .use(retextSimplify, { ignore: FIELDS_WORDS });
const markdown = (prose) => unified().use(remarkParse).use(remarkGfm).use(remarkRetext, prose).use(remarkStringify);
const ofRecords = markdown(language());
const ofTexts = markdown(language().use(retextLongSentences).use(retextTranslated));

const docs = readdirSync(`${root}docs`, { recursive: true }).map((name) => `docs/${name.replaceAll('\\', '/')}`);
const files = ['README.md', 'CONTRIBUTING.md', ...docs.filter((name) => name.endsWith('.md')).sort()];
let found = 0;
async function look(path, value, processor) {
  const file = new VFile({ path, value });
  await processor.process(file);
  for (const { line, reason } of file.messages) console.log(`${path}:${line}: ${reason}`);
  found += file.messages.length;
}
for (const name of files) await look(name, readFileSync(root + name, 'utf8'), RECORDS.test(name) ? ofRecords : ofTexts);

/** What a command's help says in sentences. Command lines and values are no prose. */
function* helpOf(command, path) {
  yield [path, command.description()];
  for (const argument of command.registeredArguments) yield [`${path} <${argument.name()}>`, argument.description];
  for (const option of command.createHelp().visibleOptions(command))
    yield [`${path} ${option.flags}`, option.description];
  for (const child of command.commands) yield* helpOf(child, `${path} ${child.name()}`);
}

/** A description is one or more whole sentences. Names of files and options in it are no words. */
async function lookAtHelp(program) {
  let texts = 0;
  for (const [path, description] of helpOf(program, 'usercopy')) {
    texts++;
    const name = `help: ${path}`;
    if (!/^[A-Z].*\.$/s.test(description)) {
      console.log(`${name}: expected sentences, found '${description}'`);
      found++;
    }
    await look(name, description.replace(/<|\*/g, ''), ofTexts);
  }
  return texts;
}

const compiled = `${root}build/js/src/cli/program.js`;
if (existsSync(compiled)) {
  const { program } = await import(pathToFileURL(compiled));
  const texts = await lookAtHelp(await program('0'));
  if (found > 0) process.exitCode = 1;
  else console.log(`prose: ${files.length} files and ${texts} texts of the help, nothing found`);
} else {
  console.error('prose: nothing is compiled, so that the help is not read: run `npm run build`');
  process.exitCode = 2;
}
