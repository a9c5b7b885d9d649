// The three facts of a request in words. Pure.

import type { Exact, Fact, RequestCard } from '../backend';
import { shellLine } from './shell';

export interface FactWords {
  readonly id: 'undoable' | 'leaves' | 'new';
  /** The word itself; the fact is understood without any colour. */
  readonly word: string;
  readonly text: string;
  /** Whether it speaks for caution. */
  readonly caution: boolean;
}

function word(fact: Fact, yes: string, no: string, unknown: string): string {
  return fact.answer === 'yes' ? yes : fact.answer === 'no' ? no : unknown;
}

export function factWords(facts: RequestCard['facts']): FactWords[] {
  const { undoable, leaves_laptop: leaves, is_new: fresh } = facts;
  return [
    {
      id: 'undoable',
      word: word(undoable, 'Can be undone', 'Not easily undone', 'May not be undone'),
      text: undoable.text,
      caution: undoable.answer !== 'yes',
    },
    {
      id: 'leaves',
      word: word(leaves, 'Leaves the laptop', 'Stays on the laptop', 'May leave the laptop'),
      text: leaves.text,
      caution: leaves.answer !== 'no',
    },
    {
      id: 'new',
      word: word(fresh, 'New here', 'As allowed before', 'Perhaps new here'),
      text: fresh.text,
      caution: fresh.answer !== 'no',
    },
  ];
}

/** What a machine will read: the command line, the host, or the path. */
export function exactLine(exact: Exact): string {
  switch (exact.kind) {
    case 'run':
      return shellLine(exact.argv);
    case 'connect':
      return exact.host.includes(':')
        ? `[${exact.host}]:${exact.port}`
        : `${exact.host}:${exact.port}`;
    case 'http':
      return `${exact.method} ${exact.target}`;
    case 'read':
    case 'write':
      return exact.path;
  }
}

/** Everything that an answer is about: when it changes, the card has changed. */
export function answerable(request: RequestCard): string {
  const { id, sentence, exact, agent, workspace, branch, chain, facts, rule, origin } = request;
  const { reason, enforced, scopes, session_scope, hosts, at_expiry, waiting } = request;
  return JSON.stringify([
    [id, sentence, exact, agent, workspace, branch, chain, facts, rule, origin],
    [reason, enforced, scopes, session_scope, hosts, at_expiry, waiting],
  ]);
}
