// Reads what a person typed into the Why? box: a command, a host or a path. Pure.

import type { Question } from '../backend';

/** What it looks like; the person may choose otherwise. */
export function looksLike(text: string): Question['about'] {
  const trimmed = text.trim();
  if (/\s/.test(trimmed)) return 'command';
  if (/^(~|\.{1,2}$|\.{0,2}\/|[A-Za-z]:\\)/.test(trimmed)) return 'read';
  if (/^\[?[0-9a-f:]*:[0-9a-f:]+\]?(:\d+)?$/i.test(trimmed) && trimmed.includes('::'))
    return 'host';
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+\.?(:\d{1,5})?$/i.test(trimmed)) return 'host';
  if (/^[a-z0-9-]+:\d{1,5}$/i.test(trimmed)) return 'host';
  return 'command';
}

/** `https://api.acme.com/x` is about its host: what is judged is the connection. */
export function withoutScheme(text: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?([^/?#]+)/i.exec(text.trim());
  return url?.[1] ?? text.trim();
}
