// A policy value as one line and as lines. Pure.

import type { Json } from '../backend';

/** In one line, as a policy file would have it; lists of rules by their number. */
export function inline(value: Json): string {
  if (value === null) return 'not set';
  if (typeof value === 'string') return value;
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return 'none';
    if (value.some((entry) => typeof entry === 'object' && entry !== null)) {
      return value.length === 1 ? '1 rule' : `${value.length} rules`;
    }
    return value.map(inline).join(', ');
  }
  return JSON.stringify(value);
}

/** One line for each entry, for the detail. */
export function lines(value: Json): string[] {
  if (!Array.isArray(value)) return [inline(value)];
  if (value.length === 0) return ['none'];
  return value.map((entry) => {
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return inline(entry);
    const { prefix, decision, reason } = entry;
    if (Array.isArray(prefix) && typeof decision === 'string') {
      const why = typeof reason === 'string' && reason ? ` (${reason})` : '';
      return `${decision}: ${prefix.map((token) => inline(token)).join(' ')}${why}`;
    }
    return JSON.stringify(entry);
  });
}
