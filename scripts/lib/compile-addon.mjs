/** Compiling the addon and libusercopy by node-gyp: for this machine, and for the package (scripts/prebuild.mjs). */
import { join } from 'node:path';
import { packageFolder, root } from './step.mjs';

/** What the compiled files follow from, beside the libunicorn whose headers are used. */
export const ADDON_INPUTS = [
  'native',
  'binding.gyp',
  'build/check.wasm',
  ...['unicorn-names', 'check-layout-header', 'native-check', 'find-json', 'compile-addon'].map(
    (name) => `scripts/lib/${name}.mjs`,
  ),
  'scripts/lib/harness-format.json',
  join(packageFolder('node-addon-api'), 'package.json'),
];

/** Variables of binding.gyp. `unicorn`: a place with headers; `native`: as `translateCheck()` answers; `json`: as `findJson()`. */
export function gypVariables(unicorn, native, json) {
  const variables = {
    unicorn_include: unicorn.include,
    node_addon_api: packageFolder('node-addon-api'),
    node_api_headers: join(packageFolder('node-api-headers'), 'include'),
  };
  if (native === null) return variables;
  const runtime = { ...variables, wasm_rt_include: native.include, wasm_rt_source: native.runtime };
  return json === null ? runtime : { ...runtime, json_include: json.include };
}

/** The two commands of a build; run in a folder with binding.gyp. */
export function gypCommands(variables, architecture = process.arch) {
  const gyp = [process.execPath, join(root, packageFolder('node-gyp'), 'bin', 'node-gyp.js')];
  const options = [`--nodedir=${join(root, 'native', 'gyp')}`, `--arch=${architecture}`];
  const defines = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  return [
    [...gyp, 'configure', ...options, '--', ...defines],
    [...gyp, 'build', ...options, '--jobs', 'max'],
  ];
}
