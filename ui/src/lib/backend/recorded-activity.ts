// Recorded sessions as events and stories.

import type { EventKind, EventRow, Session, Story, Verdict } from '../backend';
import { BUILT_IN } from './recorded-rules';

const SECOND = 1_000;

const COMMANDS: readonly [string, EventKind, Verdict, string][] = [
  ['cargo test -p api --lib login', 'command', 'allow', 'Nothing forbids it.'],
  ['git status --short', 'command', 'allow', 'Nothing forbids it.'],
  ['rg -n "retry" src', 'command', 'allow', 'Nothing forbids it.'],
  ['crates.acme.example:443', 'connect', 'allow', 'The host is in the set crates.'],
  ['git commit -m "Wait for the session cookie"', 'command', 'allow', 'Nothing forbids it.'],
  ['git push origin main', 'request', 'ask', 'Publishes work.'],
  ['git push origin main', 'answer', 'allow', 'Allowed once by you.'],
  [
    '/home/ada/work/api/.git/hooks/pre-commit',
    'write',
    'deny',
    'Git hooks run later, outside the sandbox.',
  ],
  ['sed -n 1,80p src/login.rs', 'command', 'allow', 'Nothing forbids it.'],
  ['paste.example:443', 'connect', 'deny', 'The host is denied.'],
  ['npm run build', 'command', 'allow', 'Nothing forbids it.'],
];

export function makeEvents(amount: number, sessions: Session[], now: number): EventRow[] {
  const rows: EventRow[] = [];
  for (let index = 0; index < amount; index += 1) {
    const session = sessions[Math.floor(index / 40) % sessions.length];
    const [what, kind, decision, reason] = COMMANDS[index % COMMANDS.length] ?? COMMANDS[0]!;
    if (!session) break;
    const plain = reason === 'Nothing forbids it.';
    rows.push({
      seq: amount - index,
      time: new Date(now - index * 23 * SECOND - 9 * SECOND).toISOString(),
      session: session.id,
      agent: session.agent,
      workspace: session.workspace,
      kind,
      what,
      decision,
      rule: plain ? null : kind === 'connect' ? 'network.allow' : 'commands.rule git push',
      origin: BUILT_IN,
      reason,
      by: kind === 'answer' ? 'you' : 'policy',
    });
  }
  return rows;
}

export function makeStory(session: Session, now: number): Story {
  const start = Date.parse(session.started);
  const end = session.ended ? Date.parse(session.ended) : now;
  const at = (part: number) => new Date(start + (end - start) * part).toISOString();
  const line = (
    seq: number,
    part: number,
    about: Story['lines'][number]['about'],
    sentence: string,
    exact: string | null = null,
    decision: Verdict | null = null,
    by: string | null = null,
    count = 1,
  ) => ({ seq, time: at(part), about, sentence, exact, decision, by, count });
  const lines = [
    line(1, 0, 'began', `Began in ${session.workspace}`),
    line(2, 0.04, 'ran', 'Looked around the repository', 'git status --short', 'allow', null, 6),
    line(
      9,
      0.15,
      'ran',
      'Ran the tests of one package',
      'cargo test -p api --lib login',
      'allow',
      null,
      4,
    ),
    line(14, 0.22, 'reached', 'Fetched crates', 'crates.acme.example:443', 'allow', null, 3),
    line(18, 0.4, 'changed', 'Changed two files', 'src/login.rs, tests/login.rs', 'allow', null, 2),
    line(25, 0.5, 'changed', 'Tried to change a git hook', '.git/hooks/pre-commit', 'deny'),
    line(27, 0.62, 'ran', 'Committed', 'git commit -m "Wait for the session cookie"', 'allow'),
    line(29, 0.7, 'decided', 'Asked to publish 3 commits', 'git push origin main', 'ask'),
    line(
      30,
      0.74,
      'decided',
      'You denied it: “open a pull request instead”',
      'git push origin main',
      'deny',
      'you',
    ),
    line(33, 0.82, 'ran', 'Opened a pull request', 'gh pr create --fill', 'allow', 'you'),
  ];
  if (session.ended) lines.push(line(41, 1, 'ended', `Ended with ${session.exit}`));
  return {
    session,
    asked_for: session.agent === 'Claude Code' ? 'Fix the flaky login test and publish it.' : null,
    summary:
      'Ran 41 commands and changed 2 files. One publication was denied, one write to a git hook was refused.',
    lines,
  };
}
