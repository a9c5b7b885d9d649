// Recorded hosts: what each session had to do with each, and the sums that the list shows.

import type { HostRow, HostSession, Session } from '../backend';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export interface HostUse extends HostSession {
  /** `HOST:PORT`; `null`: those that were too many to be told apart. */
  place: string | null;
}

type Ago = (milliseconds: number) => string;

export function makeHosts(sessions: Session[], ago: Ago): HostUse[] {
  const use = (
    id: string,
    place: string | null,
    [allowed, asked, denied]: [number, number, number],
    [sent, received]: [number | null, number | null],
    [first, last]: [number, number],
    commands: string[],
  ): HostUse[] => {
    const session = sessions.find((one) => one.id === id);
    if (!session) return [];
    const { agent, workspace } = session;
    const times = { first: ago(first), last: ago(last) };
    return [
      {
        session: id,
        agent,
        workspace,
        place,
        allowed,
        asked,
        denied,
        sent,
        received,
        ...times,
        commands,
      },
    ];
  };
  const unknown: [null, null] = [null, null];
  // As many hosts as sessions, where there are very many.
  if (sessions.length > 1_000) {
    return sessions.flatMap(({ id }, at) =>
      use(id, `host-${at}.example:443`, [at + 1, 0, 0], unknown, [HOUR, MINUTE], ['claude']),
    );
  }
  return [
    ...use(
      's-7f3a91c2',
      'api.anthropic.com:443',
      [96, 0, 0],
      unknown,
      [23 * MINUTE, 40 * SECOND],
      ['claude'],
    ),
    ...use(
      's-7f3a91c2',
      'crates.acme.example:443',
      [12, 0, 0],
      unknown,
      [20 * MINUTE, 9 * MINUTE],
      ['cargo test -p api --lib login'],
    ),
    ...use(
      's-7f3a91c2',
      'paste.example:443',
      [0, 0, 2],
      unknown,
      [11 * MINUTE, 11 * MINUTE],
      ['curl -sS -T target/report.txt https://paste.example/new'],
    ),
    ...use(
      's-1b20d4e8',
      'api.openai.com:443',
      [31, 0, 0],
      unknown,
      [6 * MINUTE, 70 * SECOND],
      ['codex'],
    ),
    ...use(
      's-1b20d4e8',
      'api.weather.example:443',
      [0, 1, 0],
      unknown,
      [5 * SECOND, 5 * SECOND],
      ['curl -s https://api.weather.example/v2/now'],
    ),
    ...use(
      's-90ab12ff',
      'api.anthropic.com:443',
      [118, 0, 0],
      [4_812_330, 9_120_004],
      [5 * HOUR, 4 * HOUR],
      ['claude'],
    ),
    ...use(
      's-90ab12ff',
      'registry.acme.example:443',
      [18, 1, 0],
      [22_100, 61_337_210],
      [290 * MINUTE, 4 * HOUR],
      ['npm ci', 'npm install left-pad'],
    ),
    ...use(
      's-0badcafe',
      'crates.acme.example:443',
      [49, 0, 0],
      [90_412, 412_930_001],
      [50 * HOUR, 49 * HOUR],
      ['cargo build --release'],
    ),
    ...use(
      's-0badcafe',
      'paste.example:443',
      [0, 0, 1],
      unknown,
      [49.5 * HOUR, 49.5 * HOUR],
      ['python3 scripts/share.py --to paste.example'],
    ),
    ...use('s-0badcafe', '[2001:db8::17]:8443', [0, 0, 1], unknown, [49.2 * HOUR, 49.2 * HOUR], []),
    ...use('s-0badcafe', null, [0, 0, 0], [66_000, 1_204_000], [49 * HOUR, 49 * HOUR], []),
  ];
}

/** The sums, busiest first. */
export function hostRows(uses: readonly HostUse[]): HostRow[] {
  const rows = new Map<string | null, HostRow>();
  for (const use of uses) {
    const row = rows.get(use.place);
    const parts = /^\[?(.*?)\]?:(\d+)$/.exec(use.place ?? '');
    const { place, allowed, asked, denied, sent, received, first, last, commands } = use;
    const counts = { allowed, asked, denied, sent, received, first, last, commands };
    const own: HostRow = {
      place,
      host: parts?.[1] ?? null,
      port: parts ? Number(parts[2]) : null,
      sessions: 1,
      ...counts,
    };
    rows.set(place, row === undefined ? own : both(row, own));
  }
  const busy = ({ allowed, asked, denied }: HostRow) => allowed + asked + denied;
  return [...rows.values()].toSorted((a, b) => busy(b) - busy(a));
}

function both(row: HostRow, own: HostRow): HostRow {
  return {
    ...row,
    allowed: row.allowed + own.allowed,
    asked: row.asked + own.asked,
    denied: row.denied + own.denied,
    sent: sum(row.sent, own.sent),
    received: sum(row.received, own.received),
    first: row.first < own.first ? row.first : own.first,
    last: row.last > own.last ? row.last : own.last,
    commands: [...new Set([...row.commands, ...own.commands])].slice(0, 5),
    sessions: row.sessions + 1,
  };
}

function sum(one: number | null, other: number | null): number | null {
  return one === null ? other : one + (other ?? 0);
}
