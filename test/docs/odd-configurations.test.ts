import { expect, it } from 'vitest';
import { type ConfigurationRow, oddConfigurations } from '../../scripts/lib/odd-configurations.mjs';

const saidOf = (what: string, ...rows: ConfigurationRow[]) =>
  oddConfigurations(rows).find(([name]) => name.startsWith(what))?.[1];
const rt = { variant: 'x86_64', release: '7.3-rt', lkdtm: '68 of 68', error: null, options: 'PREEMPT_RT !KFENCE' };

it('a configuration is judged by a kernel that has it, and only if that could be asked', () => {
  expect(saidOf('PREEMPT_RT', rt)).toBe('x86_64 7.3-rt');
  expect(saidOf('PREEMPT_RT', { ...rt, error: 'no types' })).toMatch(/^no: /);
  expect(saidOf('PREEMPT_RT', { ...rt, options: '!KFENCE' })).toMatch(/^no: /);
});

it('a configuration is judged by a machine that was booted as it, of the variant that is meant', () => {
  const booted = { variant: 'x86_64', release: '7.3', booted: { 'two nodes': { machine: 'numa' } } };
  expect(saidOf('NUMA', booted)).toBe('x86_64 7.3, booted');
  expect(saidOf('NUMA')).toMatch(/^no: /);
  const plain = { booted: { plain: { machine: 'plain' } } };
  expect(saidOf('5-level', { ...booted, ...plain })).toBe('x86_64 7.3, booted');
  expect(saidOf('5-level', { ...booted, ...plain, variant: 'arm64' })).toMatch(/^no: /);
});

it('each that was not judged has a reason', () => {
  for (const [what, said] of oddConfigurations([])) expect(`${what}: ${said}`).toMatch(/: no: \S/);
});
