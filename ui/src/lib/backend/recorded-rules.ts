// A recorded policy: values, and answers to why, on a laptop that nobody manages and on
// managed ones of each system; once with everything that can be wrong.

import type {
  Class,
  Finding,
  Json,
  Loser,
  Managed,
  Origin,
  PolicyValue,
  Question,
  Rules,
  SourceKind,
  ValueStatus,
  Why,
} from '../backend';
import {
  BUNDLE,
  DOMAIN,
  type Fleet,
  OWN_REGISTRY,
  REGISTRY,
  USER_FILE,
  WORKSPACE_FILE,
  classOf,
  layersOf,
} from './recorded-sources';
import { KEY_NAMES, KEY_WORDS, type KeyName, mergeOf } from './recorded-keys';

export const BUILT_IN: Origin = { kind: 'built-in', locator: 'defaults' };
export const MANAGED: Origin = {
  kind: 'managed-file',
  locator: '/etc/chaperone/policy.d/20-acme.toml:14',
};

const DETAILS: Record<ValueStatus, string> = {
  applied: 'It holds.',
  unset: 'No layer says anything.',
  restart: 'Needs restart: session s-7f3a91c2 runs with the old value to the end.',
  unsupported: 'It has no effect on this system.',
  dropped: 'A value could not be read and is ignored.',
  partly: 'Of a broken value, what could be read restricts.',
  strictest: 'A broken managed value fell to the strictest of its key.',
  refused: 'A layer could not be read at all, so no session starts.',
};

type Set = Partial<Omit<PolicyValue, 'key' | 'value' | 'origins'>>;

function value(key: KeyName, said: Json, from: Origin | Origin[], more: Set = {}): PolicyValue {
  const origins = Array.isArray(from) ? from : [from];
  const levels: Class[] = ['managed', 'user-policy', 'base', 'workspace'];
  const level = levels.find((one) => origins.some(({ kind }) => classOf(kind) === one)) ?? null;
  const status = more.status ?? (origins.length === 0 ? 'unset' : 'applied');
  return {
    key,
    value: said,
    origins,
    merge: mergeOf(key),
    status,
    losers: [],
    findings: [],
    level,
    detail: DETAILS[status],
    running: [],
    ...more,
  };
}

const lost = (said: Json, origin: Origin, reason: string): Loser => ({
  value: said,
  ...origin,
  reason,
});

const RULES: Json[] = [
  { prefix: ['git', 'push'], decision: 'ask', reason: 'Publishes work.' },
  { prefix: ['npm', 'publish'], decision: 'ask', reason: 'Publishes a package.' },
  { prefix: ['cargo', 'publish'], decision: 'ask', reason: 'Publishes a package.' },
  { prefix: ['gh', 'repo', 'delete'], decision: 'deny', reason: 'Removes a repository.' },
];
const PASSED = ['PATH', 'HOME', 'LANG', 'TERM', 'SHELL', 'EDITOR', 'TZ'];

/** Without any policy of an organisation. */
function plain(user: Origin): Map<KeyName, PolicyValue> {
  const each: PolicyValue[] = [
    value('mode', 'enforce', BUILT_IN),
    value('sandbox.minimum_tier', 'reduced', BUILT_IN),
    value('filesystem.read', ['~/reference-docs'], user),
    value('filesystem.deny', ['~/.kube', '**/secrets/**'], [user, user]),
    value('filesystem.deny_write', ['infra/**'], {
      kind: 'workspace-file',
      locator: `${WORKSPACE_FILE}:2`,
    }),
    value('network.mode', 'proxy', user, {
      losers: [lost('none', BUILT_IN, `overridden by ${user.kind} ${user.locator}`)],
    }),
    value('network.allow', ['*.acme.example', 'localhost:4000'], [user, user]),
    value('network.closed', false, BUILT_IN),
    value(
      'commands.rule',
      RULES,
      RULES.map(() => BUILT_IN),
    ),
    value('commands.closed', false, BUILT_IN),
    value('environment.pass', ['RUST_LOG', ...PASSED], [user, ...PASSED.map(() => BUILT_IN)]),
    value('environment.deny', ['*TOKEN*', '*SECRET*', 'AWS_*'], [BUILT_IN, BUILT_IN, BUILT_IN]),
    value('credentials.closed', false, BUILT_IN),
    value('signing.closed', false, BUILT_IN),
    value('approvals.scopes', ['once', 'command', 'session', 'workspace'], BUILT_IN),
    value('approvals.expires', '10m', BUILT_IN),
    value('approvals.unattended', 'deny', BUILT_IN),
    value('limits.memory', '8 GiB', user),
    value('limits.processes', 4096, BUILT_IN),
  ];
  return new Map(each.map((one) => [one.key as KeyName, one]));
}

/** How each system says where a key stands. */
interface Place {
  kind: SourceKind;
  at(key: KeyName, line: number): Origin;
}

const PLACES: Record<'linux' | 'macos' | 'windows', Place> = {
  linux: {
    kind: 'managed-file',
    at: (_, line) => ({
      kind: 'managed-file',
      locator: `/etc/chaperone/policy.d/20-acme.toml:${line}`,
    }),
  },
  macos: {
    kind: 'managed-profile',
    at: (key) => ({ kind: 'managed-profile', locator: `${DOMAIN}:${key}` }),
  },
  windows: {
    kind: 'managed-registry',
    at: (key) => {
      const [section, last] = key.includes('.') ? key.split('.') : ['', key];
      const path = section ? `${REGISTRY}\\${section}` : REGISTRY;
      return { kind: 'managed-registry', locator: `${path}!${last}` };
    },
  },
};

function managedBy(system: 'linux' | 'macos' | 'windows', user: Origin): Map<KeyName, PolicyValue> {
  const { at } = PLACES[system];
  const values = plain(user);
  const bundle: Origin = { kind: 'managed-bundle', locator: `${BUNDLE}:3` };
  const bounded = (origin: Origin) => `restricted by ${origin.kind} ${origin.locator}`;
  const scopes = at('approvals.scopes', 31);
  const mode = at('network.mode', 14);
  const rules = at('commands.rule', 20);
  const each: PolicyValue[] = [
    value('revision', '42', at('revision', 1)),
    value('organisation', 'Acme', at('organisation', 2)),
    value('sandbox.minimum_tier', 'full', at('sandbox.minimum_tier', 5), {
      status: system === 'linux' ? 'applied' : 'unsupported',
      detail: DETAILS[system === 'linux' ? 'applied' : 'unsupported'],
      losers: [lost('reduced', BUILT_IN, bounded(at('sandbox.minimum_tier', 5)))],
    }),
    value('network.mode', 'none', mode, {
      losers: [
        lost('proxy', user, bounded(mode)),
        lost('none', BUILT_IN, `${mode.kind} ${mode.locator} says the same`),
      ],
    }),
    value('network.allow', ['registry.acme.example:443', '*.acme.example'], [bundle, user]),
    value('network.deny', ['paste.example'], at('network.deny', 15)),
    value(
      'commands.rule',
      [
        { prefix: ['git', 'push'], decision: 'ask', reason: 'Publishing is decided by a person.' },
        ...RULES.slice(1),
      ],
      [rules, ...RULES.slice(1).map(() => BUILT_IN)],
      {
        losers: [
          lost(RULES[0] ?? null, BUILT_IN, bounded(rules)),
          lost(
            { prefix: ['git', 'push'], decision: 'allow' },
            { ...user, locator: user.locator },
            bounded(rules),
          ),
        ],
      },
    ),
    value('approvals.scopes', ['once'], scopes, {
      losers: [lost(['once', 'command', 'session', 'workspace'], BUILT_IN, bounded(scopes))],
    }),
    value('remote.url', 'https://policy.acme.example/chaperone/', at('remote.url', 40)),
    value('remote.on_expiry', 'restrict', BUILT_IN),
  ];
  if (system === 'windows') {
    const own: Origin = { kind: 'user-registry', locator: `${OWN_REGISTRY}\\limits!processes` };
    each.push(
      value('limits.processes', 2048, own, {
        losers: [lost(4096, BUILT_IN, `restricted by ${own.kind} ${own.locator}`)],
      }),
    );
  }
  for (const one of each) values.set(one.key as KeyName, one);
  return values;
}

const BROKEN: Finding[] = [
  {
    file: '/etc/chaperone/policy.d/20-acme.toml',
    line: 14,
    column: 8,
    key: 'network.mode',
    problem: 'wrong-value',
    expected: '"none", "proxy" or "direct"',
    found: '"prxy"',
    status: 'strictest',
  },
  {
    file: '/etc/chaperone/policy.d/20-acme.toml',
    line: 18,
    column: 20,
    key: 'filesystem.deny',
    problem: 'wrong-value',
    expected: 'a glob: `*`, `?`, `**`, `[a-z]`, `{a,b}`, each bracket closed',
    found: '"~/.aws/["',
    status: 'partly',
  },
  {
    file: '/etc/chaperone/policy.d/30-new.json#/network/upload',
    line: 0,
    column: 0,
    key: 'network.upload',
    problem: 'unsupported',
    expected: 'Chaperone 0.9.0, which may know it; this is 0.1.0',
    found: 'the unknown key `upload`',
    status: 'dropped',
  },
  {
    file: USER_FILE,
    line: 7,
    column: 1,
    key: 'network.dney',
    problem: 'unknown-key',
    expected: '`network.deny`',
    found: 'the unknown key `dney`',
    status: 'dropped',
  },
  {
    file: USER_FILE,
    line: 9,
    column: 10,
    key: 'limits.memory',
    problem: 'wrong-value',
    expected: 'a size of at least "256 MiB", such as "8 GiB"',
    found: '"8 Gigs"',
    status: 'dropped',
  },
];
const about = (key: KeyName) => BROKEN.filter((finding) => finding.key === key);

/** Everything that can be wrong, at once. */
function broken(user: Origin): Map<KeyName, PolicyValue> {
  const { at } = PLACES.linux;
  const values = managedBy('linux', user);
  const change = (key: KeyName, status: ValueStatus, more: Set = {}) => {
    const before = values.get(key);
    if (before) {
      values.set(key, {
        ...before,
        status,
        detail: DETAILS[status],
        findings: about(key),
        ...more,
      });
    }
  };
  change('network.mode', 'strictest');
  const deny = at('filesystem.deny', 18);
  values.set('filesystem.deny', value('filesystem.deny', ['~/.kube', '~/.aws'], [deny, deny]));
  change('filesystem.deny', 'partly');
  values.set('limits.memory', value('limits.memory', null, []));
  change('limits.memory', 'dropped');
  change('filesystem.read', 'restart', {
    running: [{ session: 's-7f3a91c2', value: ['~/reference-docs', '~/old-docs'] }],
  });
  change('limits.processes', 'unsupported');
  change('remote.url', 'refused');
  return values;
}

export function makeRules(
  fleet: Fleet,
  workspaces: string[],
  ago: (milliseconds: number) => string,
): Rules {
  const user: Origin =
    fleet === 'macos'
      ? { kind: 'user-preference', locator: `${DOMAIN}:network.mode` }
      : fleet === 'windows'
        ? {
            kind: 'user-file',
            locator: 'C:\\Users\\ada\\AppData\\Roaming\\Chaperone\\config.toml:3',
          }
        : { kind: 'user-file', locator: `${USER_FILE}:3` };
  const values =
    fleet === 'nobody' ? plain(user) : fleet === 'broken' ? broken(user) : managedBy(fleet, user);
  const lists = ['rules'];
  return {
    layers: layersOf(fleet, ago),
    values: KEY_NAMES.map(
      (key) => values.get(key) ?? value(key, lists.includes(mergeOf(key)) ? [] : null, []),
    ),
    findings: fleet === 'broken' ? structuredClone(BROKEN) : [],
    blocked:
      fleet === 'broken'
        ? [
            {
              kind: 'user-file',
              locator: USER_FILE,
              reason: `${USER_FILE}:11:1: expected valid TOML, found the end of the file. Nobody can know what it would have forbidden, so no session starts: repair it, or move it away.`,
            },
          ]
        : [],
    keys: KEY_WORDS,
    workspaces,
  };
}

export function makeManaged(
  fleet: Fleet,
  observes: boolean,
  now: number,
  ago: (milliseconds: number) => string,
): Managed | null {
  if (fleet === 'nobody') return null;
  const system = fleet === 'broken' ? 'linux' : fleet;
  const day = 24 * 3_600_000;
  const until = new Date(Math.ceil(now / day + 30) * day).toISOString();
  return {
    by: 'Acme',
    revision: '42',
    read_at: ago(2 * 3_600_000),
    observes: observes ? { until, origin: PLACES[system].at('until', 4) } : null,
  };
}

/** What would go into a support ticket. */
export function makeReport(rules: Rules, hosts: boolean): string {
  const { layers, values, findings, blocked } = rules;
  const whole = { version: '0.1.0', system: 'linux x86_64', layers, values, findings, blocked };
  const text = JSON.stringify(whole, null, 2)
    .replaceAll('/home/ada/work/api', '<workspace>')
    .replaceAll('/home/ada', '~')
    .replaceAll(/\bada\b/g, '<user>');
  return hosts
    ? text
    : text.replaceAll('acme.example', '<host-1>').replaceAll(/acme/gi, '<organisation>');
}

export function makeWhy(question: Question, managed: boolean): Why {
  const push = /\bgit push\b/.test(question.text);
  const secret = /\.ssh|secret/.test(question.text);
  return {
    understood: `${question.about === 'command' ? 'run' : question.about === 'host' ? 'connect to' : question.about} ${question.text}`,
    decision: secret
      ? {
          decision: 'deny',
          rule: 'filesystem.deny ~/.ssh',
          origin: BUILT_IN,
          reason: 'Keys and sign-ins of your home are hidden from agents.',
        }
      : push
        ? {
            decision: 'ask',
            rule: 'commands.rule git push',
            origin: managed ? MANAGED : BUILT_IN,
            reason: 'Publishes work.',
          }
        : {
            decision: 'allow',
            rule: null,
            origin: BUILT_IN,
            reason: 'Nothing forbids it inside the sandbox.',
          },
    change: push
      ? managed
        ? 'Only Acme can change this: a managed restriction asks.'
        : 'An allow rule for git push in /home/ada/.config/chaperone/config.toml, or an answer for the session.'
      : secret
        ? 'A grant in filesystem.read of your own file, as long as no managed layer denies it.'
        : 'A rule that asks or denies, in any layer.',
  };
}
