import { closedGate, isClosed, unknownGate } from '../introspect/gate.js';
import { unknownsOf } from '../introspect/unknowns.js';
import type { Plan } from './plan.js';

/** Why no copy at all is judged; empty where some are. */
export function nothingJudged({ judge, gate }: Plan): string[] {
  return isClosed(gate) && judge === 'kernel' ? [`${closedGate(gate)}, so nothing is judged`] : [];
}

/** What else a person should know before relying on an attachment. */
export function notesOf(
  { judge, kernelJudges, parameters, profile, gate, live, variant }: Plan,
  depthIsKnown: boolean,
): string[] {
  const notes: string[] = [];
  if (live.types?.note !== undefined) notes.push(live.types.note);
  if (judge === 'all') {
    notes.push(
      kernelJudges
        ? 'judges every copy: the kernel itself does not judge those of constant sizes'
        : 'judges every copy: the kernel has no check of its own',
    );
  }
  if (isClosed(gate) && judge === 'all') notes.push(`${closedGate(gate)}; every copy is judged all the same`);
  const unknown = unknownGate(live, gate);
  if (unknown !== null) notes.push(unknown);
  if (parameters.introspection === null) {
    const why = live.typesAbsence === undefined ? '' : ` (${live.typesAbsence})`;
    notes.push(`the kernel has no types${why}: only declared memory is judged`);
  } else if (profile.switches.whitelist && parameters.introspection.slab.useroffset === null) {
    notes.push('kmem_cache has no whitelist fields: the whole object may be copied');
  }
  if (parameters.introspection !== null) {
    const unknowns = unknownsOf(live, variant.layout(live), parameters.introspection, profile.switches);
    notes.push(...unknowns.map(({ sentence }) => sentence));
  }
  if (parameters.switches.depth && !depthIsKnown) {
    notes.push(
      "stack depth is measured at the entry point: printed stack offsets differ from the kernel's by its own frames",
    );
  }
  return notes;
}
