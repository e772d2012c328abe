import { describe, expect, it } from 'vitest';
import { parseSuppressions, SuppressionList } from '../../src/attach/suppression.js';

const facts = {
  caller: 'proc_pid_read',
  cache: 'task_struct',
  region: 'slab object',
  direction: 'to_user',
  entry: '_copy_to_user',
};

describe('a suppression list', () => {
  it('silences what matches every part of a rule, and counts it', () => {
    const list = new SuppressionList([{ caller: 'proc_*', cache: 'task_struct' }, { region: 'process stack' }]);
    expect(list.silences(facts)).toBe(true);
    expect(list.silences({ ...facts, cache: 'cred_jar' })).toBe(false);
    expect(list.silences({ ...facts, caller: null })).toBe(false);
    expect(list.silences({ ...facts, caller: 'xproc_pid' })).toBe(false);
    expect(list.silences({ ...facts, cache: null, region: 'process stack' })).toBe(true);
    expect(list.counts().map(({ count }) => count)).toEqual([1, 1]);
  });

  it('matches as the same pattern does as a regular expression, and soon however many stars it has', () => {
    const silenced = (cache: string, name: string): boolean =>
      new SuppressionList([{ cache }]).silences({ ...facts, cache: name });
    const names = ['', 'a', 'b', 'aa', 'ab', 'ba', 'aab', 'abab', 'a*b', '**', 'abcab'];
    const globs = ['*', '**', 'a', 'a*', '*a', '*a*', 'a*b', '*a*b', 'a*a*b', '*b*', 'ab*ab', 'a**b', 'abc'];
    for (const glob of globs)
      for (const name of names) {
        const expected = new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(name);
        expect([glob, name, silenced(glob, name)]).toEqual([glob, name, expected]);
      }
    expect(silenced(`${'*a'.repeat(50)}*b`, 'a'.repeat(5000))).toBe(false);
    expect(silenced(`${'*a'.repeat(50)}*`, 'a'.repeat(5000))).toBe(true);
  });

  it('takes every character but * as it is', () => {
    const list = new SuppressionList([{ cache: 'kmalloc-64(1:a.b)' }, { caller: '*.isra.0' }]);
    expect(list.silences({ ...facts, cache: 'kmalloc-64(1:axb)' })).toBe(false);
    expect(list.silences({ ...facts, cache: 'kmalloc-64(1:a.b)' })).toBe(true);
    expect(list.silences({ ...facts, cache: null, caller: 'copy_page.isra.0' })).toBe(true);
  });

  it('refuses a rule that says nothing or something unknown', () => {
    expect(() => new SuppressionList([{}])).toThrow(/parts among caller, cache.*found none/);
    expect(() => new SuppressionList([{ colour: 'red' } as never])).toThrow(/found colour/);
  });
});

describe('a file of suppressions', () => {
  it('has a rule a line, quotes and comments', () => {
    const text = '# known\ncaller=proc_* cache=task_struct\n\n  region="process stack" direction=to_user # why\n';
    expect(parseSuppressions(text, 'list')).toEqual([
      { caller: 'proc_*', cache: 'task_struct' },
      { region: 'process stack', direction: 'to_user' },
    ]);
  });

  it.each([['colour=red'], ['caller'], ['caller="open'], ['caller=a;cache=b x']])('says where %s is wrong', (line) => {
    expect(() => parseSuppressions(`caller=a\n${line}\n`, 'list')).toThrow(/^list:2: expected words like caller=NAME/);
  });
});
