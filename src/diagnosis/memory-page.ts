/** One page that draws the memory around a copy: object, window, red zones, neighbours, the copy over it, and its bytes. */
import { DRAWING_STYLE, drawing, escaped } from './drawing.js';
import { hexdump, type ReadBytes } from './hexdump.js';
import type { Reproduction } from './outcome.js';
import { sceneOf } from './scene.js';

/** The page's text: HTML with its styles, no scripts, nothing from elsewhere. */
export function memoryPage(reproduction: Reproduction, read: ReadBytes): string {
  const { outcome, variant, kernel, profile, check, replay, report, explanation } = reproduction;
  const scene = sceneOf(reproduction);
  const said = (who: string, message: string | null | undefined): string =>
    `<tr><th>${who}</th><td>${escaped(message ?? 'lets the copy pass')}</td></tr>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>usercopy: ${escaped(outcome)}</title>
<style>${STYLE}</style></head><body>
<h1><span class="outcome ${outcome}">${escaped(outcome)}</span> ${escaped(`${variant}, kernel ${kernel}, profile ${profile}`)}</h1>
<table>${report ? said('report', report.message?.text ?? 'its message is missing') : ''}${said('check', check?.message)}${
    replay ? said(`replay (${replay.instructions} instructions)`, replay.message) : ''
  }</table>
<h2>Memory around the copy</h2>
${typeof scene === 'string' ? `<p>${escaped(scene)}</p>` : drawing(scene)}
<h2>Bytes</h2>
${hexdump(reproduction, read)}
<h2>Explanation</h2>
<ul>${explanation.lines.map((line) => `<li>${escaped(line)}</li>`).join('')}</ul>
</body></html>
`;
}

const STYLE = `
body{font:14px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:1060px;margin:2em auto;padding:0 1em}
@media screen and (prefers-color-scheme:dark){body{color:#eef2f7;background:#14181e}}
h1{font-size:1.2em}h2{font-size:1em;margin-top:2em}th{text-align:left;padding-right:1em;vertical-align:top;white-space:nowrap}
.outcome{color:#fff;background:#8a6d00;border-radius:4px;padding:.1em .5em}.identical,.clean{background:#1d7a3a}.different{background:#b3261e}
li{overflow-wrap:anywhere}${DRAWING_STYLE}`;
