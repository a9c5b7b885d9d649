// The policy in words: sources, statuses, and which keys a search finds. Pure.

import type {
  Class,
  Finding,
  FindingStatus,
  Json,
  LayerStatus,
  LayerSummary,
  Managed,
  Origin,
  Os,
  PolicyValue,
  SourceKind,
  ValueStatus,
} from '../backend';
import type { IconName } from '../components/Icon.svelte';
import { inline } from './value';

const SOURCES: Record<SourceKind, string> = {
  'built-in': 'Chaperone’s defaults',
  'agent-file': 'the agent file',
  'recommended-file': 'your organisation’s recommendation',
  'recommended-profile': 'your organisation’s recommended profile',
  'recommended-registry': 'your organisation’s recommended registry values',
  'managed-file': 'your organisation',
  'managed-profile': 'your organisation’s profile',
  'managed-registry': 'your organisation’s Group Policy',
  'managed-bundle': 'your organisation’s signed bundle',
  'user-registry': 'your own registry policy',
  'user-file': 'your own file',
  'user-preference': 'your own preferences',
  'command-line': 'the command line',
  'workspace-file': 'the workspace’s file',
  grant: 'a grant',
};

/** Who set something, for people; the place stands beside it. */
export function setBy(origin: Origin | { kind: SourceKind }): string {
  return SOURCES[origin.kind];
}

const TITLES: Record<SourceKind, string> = {
  'built-in': 'Built-in defaults',
  'agent-file': 'Agent file',
  'recommended-file': 'Recommended file',
  'recommended-profile': 'Recommended profile',
  'recommended-registry': 'Recommended registry key',
  'managed-file': 'Managed file',
  'managed-profile': 'Managed profile',
  'managed-registry': 'Managed registry key',
  'managed-bundle': 'Signed bundle',
  'user-registry': 'User policy in the registry',
  'user-file': 'Your own file',
  'user-preference': 'Your own preferences',
  'command-line': 'Command line',
  'workspace-file': 'Workspace file',
  grant: 'Grant',
};

/** What a source is, as a heading. */
export function sourceTitle(kind: SourceKind): string {
  return TITLES[kind];
}

/** What the layers of a class may do. */
export const MAY: Record<Class, string> = {
  managed: 'Managed: restricts and allows',
  'user-policy': 'User policy: only restricts',
  base: 'Base: chooses what is left open',
  workspace: 'Workspace: only restricts',
};

/** How a value is set, in a word. */
export const LEVELS: Record<Class, string> = {
  managed: 'Managed',
  'user-policy': 'User policy',
  base: 'Base',
  workspace: 'Workspace',
};

/** A status is told by its outline, its word and its colour. */
export interface StatusWords {
  readonly word: string;
  readonly icon: IconName;
  readonly colour: string;
}

export const STATUSES: Record<ValueStatus, StatusWords> = {
  applied: { word: 'Applied', icon: 'allow', colour: 'text-allow' },
  unset: { word: 'Not set', icon: 'unset', colour: 'text-quiet' },
  restart: { word: 'Needs restart', icon: 'restart', colour: 'text-ask' },
  unsupported: { word: 'Unsupported', icon: 'system', colour: 'text-quiet' },
  dropped: { word: 'Ignored', icon: 'alert', colour: 'text-ask' },
  partly: { word: 'Partly read', icon: 'alert', colour: 'text-ask' },
  strictest: { word: 'Strictest', icon: 'deny', colour: 'text-deny' },
  refused: { word: 'Stops sessions', icon: 'deny', colour: 'text-deny' },
};

/** Of a key that nobody knows. */
export const UNKNOWN: StatusWords = { word: 'Unknown key', icon: 'ask', colour: 'text-ask' };

/** Of a key that a newer Chaperone may know. */
export const NEWER: StatusWords = { word: 'Too new', icon: 'ask', colour: 'text-ask' };

export const LAYERS: Record<LayerStatus, StatusWords & { readonly means: string }> = {
  present: {
    word: 'Present',
    icon: 'allow',
    colour: 'text-allow',
    means: 'It was read and holds.',
  },
  absent: {
    word: 'Absent',
    icon: 'unset',
    colour: 'text-quiet',
    means: 'There is no such source.',
  },
  unreadable: {
    word: 'Unreadable',
    icon: 'deny',
    colour: 'text-deny',
    means: 'It is there and cannot be read.',
  },
  untrusted: {
    word: 'Untrusted',
    icon: 'alert',
    colour: 'text-ask',
    means: 'Others could have written it: its restrictions apply, its grants do not.',
  },
  invalid: {
    word: 'Invalid',
    icon: 'deny',
    colour: 'text-deny',
    means: 'It is not in its format: what could be read of it restricts and grants nothing.',
  },
  expired: {
    word: 'Expired',
    icon: 'clock',
    colour: 'text-ask',
    means: 'Its signature has run out: its restrictions apply at most, its grants do not.',
  },
};

export const SYSTEMS: Record<Os, string> = {
  linux: 'Linux',
  macos: 'macOS',
  windows: 'Windows',
};

const CONSEQUENCES: Record<FindingStatus, string> = {
  noted: 'The value stands.',
  dropped: 'It is ignored.',
  partly: 'What can be read of it still restricts, nothing of it grants.',
  strictest: 'The strictest value of the key holds instead.',
  refused: 'No session starts until it is repaired.',
};

/** What follows from a finding. */
export function consequence(finding: Finding): string {
  return CONSEQUENCES[finding.status];
}

/** `FILE:LINE:COLUMN`, or the place's own name where places are not lines. */
export function findingPlace({ file, line, column }: Finding): string {
  return line === 0 ? file : `${file}:${line}:${column}`;
}

/** How many keys and sources could not be taken as written, as a sentence; `null` for none. */
export function notUnderstood(findings: readonly Finding[]): string | null {
  const broken = findings.filter(({ status }) => status !== 'noted');
  if (broken.length === 0) return null;
  const keys = new Set(broken.map((finding) => finding.key || findingPlace(finding)));
  return keys.size === 1 ? '1 key is not understood' : `${keys.size} keys are not understood`;
}

/** Whether a managed layer has the say. */
export function isManaged(kind: SourceKind): boolean {
  return kind.startsWith('managed-');
}

/** Who manages this laptop, for people. */
export function manager(managed: Managed | null): string {
  return managed?.by ?? 'your organisation';
}

/** One row of the list of keys: a key of the schema, or one that nobody knows. */
export type KeyRow =
  | { readonly kind: 'value'; readonly id: string; readonly value: PolicyValue }
  | { readonly kind: 'unknown'; readonly id: string; readonly finding: Finding };

/** Every key, and those that were said and that nobody knows; they come first. */
export function keyRows(values: readonly PolicyValue[], findings: readonly Finding[]): KeyRow[] {
  const unknown = findings
    .filter(({ problem }) => problem === 'unknown-key' || problem === 'unsupported')
    .map((finding): KeyRow => ({ kind: 'unknown', id: `?${findingPlace(finding)}`, finding }));
  return [...unknown, ...values.map((value): KeyRow => ({ kind: 'value', id: value.key, value }))];
}

/** Those that a search finds; without one, those that are set, or all. */
export function found(rows: readonly KeyRow[], text: string, unset: boolean): KeyRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (words.length === 0) return unset || row.kind === 'unknown' || row.value.status !== 'unset';
    const whole = textOf(row).toLowerCase();
    return words.every((word) => whole.includes(word));
  });
}

function textOf(row: KeyRow): string {
  if (row.kind === 'unknown') {
    const { finding } = row;
    return [finding.key, finding.expected, finding.found, finding.file, UNKNOWN.word].join('\n');
  }
  const { key, value, origins, losers, status, level } = row.value;
  const told = [...origins, ...losers].flatMap((origin) => [origin.locator, setBy(origin)]);
  const values = [value, ...losers.map((loser) => loser.value)];
  return [
    key,
    STATUSES[status].word,
    level === null ? '' : LEVELS[level],
    ...told,
    ...values.map((one) => JSON.stringify(one)),
  ].join('\n');
}

/** Whether a search finds a source. */
export function sourceFound(layer: LayerSummary, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const whole = [TITLES[layer.kind], layer.locator, LAYERS[layer.status].word, layer.detail]
    .join('\n')
    .toLowerCase();
  return words.every((word) => whole.includes(word));
}

export interface Entry {
  readonly value: Json;
  readonly origin: Origin | null;
}

/**
 * A value with who set each part of it: a list has an entry each, those of Chaperone's own
 * defaults apart.
 */
export function entries({ value, origins }: PolicyValue): { own: Entry[]; builtIn: Entry[] } {
  const each: Entry[] =
    Array.isArray(value) && value.length === origins.length && value.length > 0
      ? value.map((entry, at) => ({ value: entry, origin: origins[at] ?? null }))
      : origins.length > 0
        ? origins.map((origin, at) => ({ value: at === 0 ? value : null, origin }))
        : [{ value, origin: null }];
  const builtIn = each.filter(({ origin }) => origin?.kind === 'built-in');
  return { own: each.filter(({ origin }) => origin?.kind !== 'built-in'), builtIn };
}

/** The nearest known key, where a finding names one. */
export function nearest({ expected, problem }: Finding): string | null {
  if (problem !== 'unknown-key') return null;
  return /^`([^`]+)`$/.exec(expected)?.[1] ?? null;
}

/** In one line, for the list. */
export function shortValue(row: KeyRow): string {
  if (row.kind === 'value') return inline(row.value.value);
  if (row.finding.problem === 'unsupported') return 'for a newer Chaperone';
  const near = nearest(row.finding);
  return near === null ? 'no key is near it' : `nearest is ${near}`;
}
