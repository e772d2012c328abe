import { describe, expect, it } from 'vitest';
import { namesIn, withMemoryAtHand, withOwnHeader } from '../../scripts/lib/native-check.mjs';

/** The lines of a header that matter here, as the releases of wasm2c write them. */
const HEADERS: Readonly<Record<string, string>> = {
  '1.0.32': `
struct Z_env_instance_t;
struct Z_host_instance_t;
extern wasm_rt_memory_t* Z_envZ_memory(struct Z_env_instance_t*);

typedef struct Z_check_instance_t {
  struct Z_host_instance_t* Z_host_instance;
  /* import: 'env' 'memory' */
  wasm_rt_memory_t *Z_envZ_memory;
} Z_check_instance_t;
/* import: 'host' 'read' */
u32 Z_hostZ_read(struct Z_host_instance_t*, u32, u32, u32, u32);

/* export: 'check' */
u32 Z_checkZ_check(Z_check_instance_t*, u32, u32);

/* export: 'checkOutermost' */
u32 Z_checkZ_checkOutermost(Z_check_instance_t*, u32, u32);

/* export: 'checkBatch' */
u32 Z_checkZ_checkBatch(Z_check_instance_t*, u32, u32, u32);

/* export: 'checkOutermostBatch' */
u32 Z_checkZ_checkOutermostBatch(Z_check_instance_t*, u32, u32, u32);

/* export: 'look' */
u32 Z_checkZ_look(Z_check_instance_t*, u32, u32);
`,
  '1.0.36 and 1.0.42': `
struct w2c_env;
struct w2c_host;
extern wasm_rt_memory_t* w2c_env_memory(struct w2c_env*);

typedef struct w2c_check {
  struct w2c_host* w2c_host_instance;
  /* import: 'env' 'memory' */
  wasm_rt_memory_t *w2c_env_memory;
} w2c_check;

/* import: 'host' 'read' */
u32 w2c_host_read(struct w2c_host*, u32, u32, u32, u32);

/* export: 'check' */
u32 w2c_check_check(w2c_check*, u32, u32);

/* export: 'checkOutermost' */
u32 w2c_check_checkOutermost(w2c_check*, u32, u32);

/* export: 'checkBatch' */
u32 w2c_check_checkBatch(w2c_check*, u32, u32, u32);

/* export: 'checkOutermostBatch' */
u32 w2c_check_checkOutermostBatch(w2c_check*, u32, u32, u32);

/* export: 'look' */
u32 w2c_check_look(w2c_check*, u32, u32);
`,
};

describe('the names that wasm2c gives', () => {
  it('are found in what 1.0.32 writes', () => {
    expect(namesIn(HEADERS['1.0.32']!)).toMatchObject({
      INSTANCE: 'Z_check_instance_t',
      ENV: 'Z_env_instance_t',
      HOST: 'Z_host_instance_t',
      HOST_FIELD: 'Z_host_instance',
      MEMORY: 'Z_envZ_memory',
      READ: 'Z_hostZ_read',
      EXPORT_checkBatch: 'Z_checkZ_checkBatch',
    });
  });

  it('are found in what later ones write', () => {
    expect(namesIn(HEADERS['1.0.36 and 1.0.42']!)).toMatchObject({
      INSTANCE: 'w2c_check',
      ENV: 'w2c_env',
      HOST: 'w2c_host',
      HOST_FIELD: 'w2c_host_instance',
      MEMORY: 'w2c_env_memory',
      READ: 'w2c_host_read',
      EXPORT_checkOutermost: 'w2c_check_checkOutermost',
    });
  });

  it('are not guessed where something is missing', () => {
    for (const header of Object.values(HEADERS))
      for (const gone of ['typedef struct', 'wasm_rt_memory_t*', "export: 'checkBatch'", 'u32, u32, u32, u32'])
        expect(namesIn(header.replaceAll(gone, ''))).toBeNull();
  });
});

describe('the header of the native check', () => {
  it.each([
    ['behind the last of them', ['#include <a.h>', '#include "b.h"'], ['', 'code']],
    [
      'behind the conditions of the last of them',
      ['#if X', '#include <a.h>', '#ifdef Y', '#include <b.h>', '#else', '#endif', '#endif'],
      ['#if Z', 'code', '#endif'],
    ],
    [
      'between a condition with one and a condition without',
      ['#ifdef X', '#  include <a.h>', '# endif'],
      ['#ifndef Z', '#endif'],
    ],
  ])('is read %s', (_, headers, code) => {
    const own = '#include "native_check_code.h"';
    expect(withOwnHeader([...headers, ...code].join('\n'))).toBe([...headers, own, ...code].join('\n'));
  });
});

describe('what describes linear memory', () => {
  /** A function as a release writes it: which load, by which field. */
  const written = (load: string, field: string) => [
    'static u32 f(instance_t* instance, u32 p0) {',
    '  FUNC_PROLOGUE;',
    `  i0 = ${load}(instance->${field}, (u64)(p0) + 8u);`,
    '  i0 = g(instance, i0);',
    '}',
  ];

  it.each([
    ['1.0.32', 'i32_load', 'Z_envZ_memory'],
    ['1.0.36', 'i32_load_default32', 'w2c_env_memory'],
  ])('is copied in each function that %s writes, and nowhere else', (_, load, field) => {
    const outside = ['#define FUNC_PROLOGUE', `  instance->${field} = ${field}(env);`];
    const [head, prologue, access, ...rest] = written(load, field);
    expect(withMemoryAtHand([outside[0], ...written(load, field), outside[1]].join('\n'), field).split('\n')).toEqual([
      outside[0],
      ...[head, prologue, `  wasm_rt_memory_t memory_at_hand = *instance->${field};`],
      access!.replace(`instance->${field}`, '&memory_at_hand'),
      ...[...rest, outside[1]],
    ]);
  });

  it('stays where it is while functions begin in another way', () => {
    const text = written('i32_load', 'Z_envZ_memory').join('\n').replace('FUNC_PROLOGUE;', 'BEGIN;');
    expect(withMemoryAtHand(text, 'Z_envZ_memory')).toBe(text);
  });
});
