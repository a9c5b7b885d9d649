// A recorded schema: what each key is for.

import type { KeyWords, Os } from '../backend';

const EVERYWHERE: Os[] = ['linux', 'macos', 'windows'];

const MERGE = {
  rules:
    'The entries of all layers add up: restrictions of every layer, grants of those that may grant.',
  ordered: 'The later of the base layers chooses; the strictest of the others bounds it.',
  preference: 'The later layer overrides; what a managed layer says, no other changes.',
};
export type Shape = keyof typeof MERGE;

interface Told {
  title: string;
  about: string;
  takes: string;
  example: string;
  merge: Shape;
  managed_only?: true;
  live?: false;
  systems?: Os[];
}

const KEYS = {
  revision: {
    title: 'Revision',
    about: "The policy's own name for its version, shown wherever the policy is.",
    takes: 'text',
    example: '"2026-11-22.1"',
    merge: 'preference',
  },
  organisation: {
    title: 'Organisation',
    about: 'The name of whoever manages this machine, shown wherever a managed value is.',
    takes: 'text',
    example: '"Acme"',
    merge: 'preference',
    managed_only: true,
  },
  mode: {
    title: 'Mode',
    about:
      '"observe" records what would have been asked or denied and lets it pass, until `until`.',
    takes: '"enforce" or "observe"',
    example: '"observe"',
    merge: 'ordered',
    managed_only: true,
  },
  until: {
    title: 'End of observing',
    about: 'The last day on which mode "observe" holds; without it the mode is "enforce".',
    takes: 'a day such as "2026-12-31", or a time with its zone',
    example: '"2027-01-31"',
    merge: 'ordered',
    managed_only: true,
  },
  'sandbox.minimum_tier': {
    title: 'Weakest sandbox',
    about: 'The weakest sandbox in which a session may start: "reduced" or "full".',
    takes: '"reduced" or "full"',
    example: '"reduced"',
    merge: 'ordered',
    live: false,
    systems: ['linux'],
  },
  'filesystem.read': {
    title: 'Readable paths',
    about: 'Paths that may be read, beyond what a session needs anyway.',
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["~/reference-docs"]',
    merge: 'rules',
    live: false,
  },
  'filesystem.write': {
    title: 'Writable paths',
    about: 'Paths that may be read and written, beyond the workspace.',
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["~/.cache/acme-build"]',
    merge: 'rules',
    live: false,
  },
  'filesystem.deny': {
    title: 'Denied paths',
    about: 'Paths that are neither read nor written.',
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["~/.kube", "**/secrets/**"]',
    merge: 'rules',
    live: false,
  },
  'filesystem.deny_write': {
    title: 'Paths kept from writing',
    about: 'Paths that are not written.',
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["infra/**"]',
    merge: 'rules',
    live: false,
  },
  'filesystem.sockets': {
    title: 'Reachable sockets',
    about: "Socket files of other programs that a session may connect to, such as a display's.",
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["/tmp/.X11-unix/X0"]',
    merge: 'rules',
    live: false,
    systems: ['linux'],
  },
  'network.mode': {
    title: 'Network mode',
    about: 'What a session can reach: "none", "proxy" or "direct".',
    takes: '"none", "proxy" or "direct"',
    example: '"none"',
    merge: 'ordered',
    live: false,
  },
  'network.allow': {
    title: 'Allowed hosts',
    about:
      'Hosts and host sets that may be reached; with mode "none", HOST:PORT pairs that are relayed.',
    takes: 'a list of hosts and host sets',
    example: '["crates", "*.acme.example", "api.acme.example:8443"]',
    merge: 'rules',
  },
  'network.deny': {
    title: 'Denied hosts',
    about: 'Hosts and host sets that are never reached.',
    takes: 'a list of hosts and host sets',
    example: '["paste.example"]',
    merge: 'rules',
  },
  'network.unfamiliar': {
    title: 'Unfamiliar hosts',
    about:
      'With mode "proxy", what becomes of a host that no list names and that is not familiar: "allow", "ask" or "deny".',
    takes: '"allow", "ask" or "deny"',
    example: '"ask"',
    merge: 'ordered',
  },
  'network.closed': {
    title: 'Only managed hosts',
    about: 'Whether only hosts that a managed layer allows may be reached.',
    takes: 'true or false',
    example: 'false',
    merge: 'ordered',
    managed_only: true,
  },
  'network.upstream': {
    title: 'Upstream proxy',
    about: "The organisation's own proxy, through which a session's connections leave the machine.",
    takes: 'text',
    example: '"http://proxy.acme.example:3128"',
    merge: 'preference',
  },
  'network.upstream_login': {
    title: 'Login at the upstream proxy',
    about:
      'The credential with which a session logs in at the upstream proxy: USER:PASSWORD, by name.',
    takes: 'text',
    example: '"acme-proxy"',
    merge: 'preference',
  },
  'network.upstream_bypass': {
    title: 'Hosts past the upstream proxy',
    about: 'Hosts that are reached without the upstream proxy.',
    takes: 'a list of hosts, `*.domain`, addresses or ranges, with or without a port',
    example: '["*.corp.acme.example", "10.0.0.0/8"]',
    merge: 'rules',
  },
  'network.ca': {
    title: 'Certificate authorities',
    about:
      "Files of certificates that a session's programs trust, beside those that the system does.",
    takes: 'a list of paths, which may hold `*` and `**`',
    example: '["/etc/ssl/acme-root.pem"]',
    merge: 'rules',
    live: false,
  },
  'network.read_only': {
    title: 'Reading only',
    about: 'Whether HTTP requests may only read: GET, HEAD and OPTIONS.',
    takes: 'true or false',
    example: 'true',
    merge: 'ordered',
  },
  'network.upload': {
    title: 'Upload budgets',
    about:
      'How much may be sent within which time: to each host, to hosts that are named, or to all together.',
    takes: 'a list of `SIZE per TIME` and `HOST SIZE per TIME`',
    example: '["50 MiB per 1h", "api.acme.example 2 GiB per 1h", "* 4 GiB per session"]',
    merge: 'rules',
  },
  'network.rule': {
    title: 'Rules for HTTP requests',
    about: 'Which HTTP requests to a host are allowed, asked about or denied, by method and path.',
    takes: 'a list of rules',
    example: '[{ host = "api.acme.example", methods = ["POST"], decision = "ask" }]',
    merge: 'rules',
  },
  'commands.rule': {
    title: 'Command rules',
    about: 'Which commands are allowed, asked about or denied.',
    takes: 'a list of rules, each with `prefix` and `decision`',
    example: '[{ prefix = ["git", "push"], decision = "ask", reason = "Publishes work." }]',
    merge: 'rules',
  },
  'commands.closed': {
    title: 'Only managed commands',
    about: 'Whether only commands that a managed layer allows may run.',
    takes: 'true or false',
    example: 'false',
    merge: 'ordered',
    managed_only: true,
  },
  'environment.pass': {
    title: 'Variables passed on',
    about: 'Variables that a session receives.',
    takes: 'a list of names, which may hold `*`',
    example: '["RUST_LOG"]',
    merge: 'rules',
    live: false,
  },
  'environment.deny': {
    title: 'Variables withheld',
    about: 'Variables that a session does not receive.',
    takes: 'a list of names, which may hold `*`',
    example: '["*TOKEN*"]',
    merge: 'rules',
    live: false,
  },
  'credentials.inject': {
    title: 'Credentials in requests',
    about:
      'Which credentials of the keychain go into requests to which hosts; the agent holds a worthless value in their place.',
    takes: 'a list of rules',
    example:
      '[{ secret = "acme", host = "api.acme.example", header = "x-api-key", env = "ACME_API_KEY" }]',
    merge: 'rules',
    live: false,
    systems: ['linux'],
  },
  'credentials.closed': {
    title: 'Only managed credentials',
    about: 'Whether only credentials that a managed layer binds to hosts go into requests.',
    takes: 'true or false',
    example: 'false',
    merge: 'ordered',
    managed_only: true,
    systems: ['linux'],
  },
  'identity.organisations': {
    title: 'Organisations',
    about:
      'Whose accounts may be used at providers that have a header for it, each as PROVIDER:ORGANISATION.',
    takes: 'a list of `PROVIDER:ORGANISATION`',
    example: '["anthropic:550e8400-e29b-41d4-a716-446655440000", "github:4711"]',
    merge: 'rules',
  },
  'signing.ssh_keys': {
    title: 'Keys that sign',
    about:
      "SSH keys with which git may sign through the user's SSH agent: public keys, or their files.",
    takes: 'a list of public keys of SSH, or of the files that hold them',
    example: '["~/.ssh/id_ed25519.pub"]',
    merge: 'rules',
    live: false,
    systems: ['linux'],
  },
  'signing.closed': {
    title: 'Only managed keys',
    about: 'Whether git may sign only with keys that a managed layer names.',
    takes: 'true or false',
    example: 'false',
    merge: 'ordered',
    systems: ['linux'],
  },
  'approvals.scopes': {
    title: 'Scopes of approvals',
    about:
      'How far an approval may reach: this once, until the command exits, until the session ends, or in every session of the workspace for 30 days. Each includes those before it.',
    takes: 'a list of "once", "command", "session" or "workspace"',
    example: '["once", "command", "session"]',
    merge: 'ordered',
  },
  'approvals.expires': {
    title: 'Expiry of requests',
    about: 'How long a request waits before it is denied.',
    takes: 'a duration such as "10m"',
    example: '"10m"',
    merge: 'ordered',
  },
  'approvals.unattended': {
    title: 'Unattended requests',
    about: 'What becomes of a request when nobody can answer: "deny" or "allow".',
    takes: '"deny" or "allow"',
    example: '"deny"',
    merge: 'ordered',
  },
  'limits.memory': {
    title: 'Memory',
    about: 'The memory that a session may use, as a size; one that uses more is ended.',
    takes: 'a size such as "8 GiB", or a number of bytes',
    example: '"8 GiB"',
    merge: 'ordered',
    live: false,
    systems: ['linux', 'windows'],
  },
  'limits.processes': {
    title: 'Processes',
    about: 'The processes and threads that a session may have; one that has more is ended.',
    takes: 'a whole number of at least 32',
    example: '4096',
    merge: 'ordered',
    live: false,
  },
  'limits.open_files': {
    title: 'Open files',
    about: 'The files that each process of a session may have open.',
    takes: 'a whole number, at least 64',
    example: '65536',
    merge: 'ordered',
    live: false,
    systems: ['linux', 'macos'],
  },
  'limits.cpu_time': {
    title: 'Processor time',
    about: "The processor time that a session's processes may take together before it is ended.",
    takes: 'a duration from "1m" to "8760h"',
    example: '"8h"',
    merge: 'ordered',
    live: false,
    systems: ['linux', 'windows'],
  },
  'limits.wall_time': {
    title: 'Time',
    about: 'How long a session may last before it is ended.',
    takes: 'a duration from "1m" to "8760h"',
    example: '"24h"',
    merge: 'ordered',
    live: false,
  },
  'remote.url': {
    title: 'Address of the bundle',
    about: 'Where a signed policy bundle lies: the https address of a TUF repository.',
    takes: 'text',
    example: '"https://policy.acme.example/"',
    merge: 'preference',
    managed_only: true,
  },
  'remote.root': {
    title: 'Root of the bundle',
    about: "The root that the bundle must be signed under: a path, or the root's JSON itself.",
    takes: 'text',
    example: '"/etc/chaperone/root.json"',
    merge: 'preference',
    managed_only: true,
  },
  'remote.on_expiry': {
    title: 'Expired bundle',
    about: 'What becomes of a bundle that has expired: it only restricts, or no session starts.',
    takes: '"restrict" or "refuse"',
    example: '"restrict"',
    merge: 'ordered',
    managed_only: true,
  },
} satisfies Record<string, Told>;

export type KeyName = keyof typeof KEYS;

/** In the order in which they are shown. */
export const KEY_NAMES = Object.keys(KEYS) as KeyName[];

export function mergeOf(key: KeyName): Shape {
  return KEYS[key].merge;
}

export const KEY_WORDS: KeyWords[] = KEY_NAMES.map((key) => {
  const told: Told = KEYS[key];
  return {
    key,
    title: told.title,
    about: told.about,
    takes: told.takes,
    example: told.example,
    merge: MERGE[told.merge],
    managed_only: told.managed_only ?? false,
    live: told.live ?? true,
    systems: told.systems ?? EVERYWHERE,
  };
});
