import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** Debian's tools in front of the machine's: an archive whose indexes and packages a test makes up. */
export class Archive {
  readonly directory: string;
  readonly #packages = new Map<string, { version: string; suite: string; depends: string; deb: string | null }>();
  updateOutput = '';

  constructor(directory: string) {
    this.directory = directory;
  }

  /** `files: null`: listed, but not on the mirror. */
  async add(
    name: string,
    suite: string,
    files: Readonly<Record<string, Uint8Array | string>> | null,
    depends = '',
    version = `${/\d[\d.]*/.exec(name)?.[0] ?? 1}-1`,
  ) {
    let deb: string | null = null;
    if (files !== null) {
      const root = join(this.directory, 'build', name);
      for (const [path, bytes] of Object.entries({ ...files, 'usr/share/doc/x': new Uint8Array(1) })) {
        await fs.mkdir(join(root, path, '..'), { recursive: true });
        // A text is a program.
        await fs.writeFile(join(root, path), bytes, { mode: typeof bytes === 'string' ? 0o755 : 0o644 });
      }
      await fs.mkdir(join(root, 'DEBIAN'));
      const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: x\nDescription: x\n`;
      await fs.writeFile(join(root, 'DEBIAN', 'control'), control);
      deb = join(this.directory, `${name}.deb`);
      execFileSync('dpkg-deb', ['--build', '-Znone', root, deb]);
    }
    this.#packages.set(name, { version, suite, depends, deb });
  }

  async use<Result>(work: () => Promise<Result>): Promise<Result> {
    const bin = join(this.directory, 'bin');
    await fs.mkdir(bin, { recursive: true });
    const all = [...this.#packages];
    const list = (line: (name: string, of: (typeof all)[number][1]) => string): string =>
      all.map(([name, of]) => line(name, of)).join('');
    const update = join(this.directory, 'update.txt');
    await fs.writeFile(update, this.updateOutput);
    await fs.writeFile(
      join(this.directory, 'names'),
      list((name) => `${name}\n`),
    );
    const madison = list(
      (name, { version, suite }) => `${name} | ${version} | http://d/debian ${suite}/main amd64 Packages\n`,
    );
    await fs.writeFile(join(this.directory, 'madison'), madison);
    for (const [name, { version, depends, deb }] of all) {
      await fs.writeFile(
        join(this.directory, `${name}.show`),
        `Package: ${name}\nVersion: ${version}\nDepends: ${depends}\n\n`,
      );
      if (deb === null) await fs.writeFile(join(this.directory, `${name}.gone`), '');
    }
    const last = 'for last; do :; done';
    const get = `${last}
case "$*" in
*indextargets*) exit 0;;
*update*) cat ${update}; touch lists/x_Packages;;
*download*) if [ -e ${this.directory}/$last.deb ]; then cp ${this.directory}/$last.deb .; else echo "E: Failed to fetch $last  404  Not Found" >&2; exit 100; fi;;
esac`;
    const cache = `${last}
case "$*" in
*pkgnames*) cat ${this.directory}/names;;
*madison*) grep '^linux-image-[0-9]' ${this.directory}/madison;;
*show*) cat ${this.directory}/$last.show 2>/dev/null;;
esac`;
    for (const [name, script] of [
      ['apt-get', get],
      ['apt-cache', cache],
    ] as const)
      await fs.writeFile(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const path = process.env['PATH'];
    process.env['PATH'] = `${bin}:${path}`;
    try {
      return await work();
    } finally {
      process.env['PATH'] = path;
    }
  }
}
