// Recorded credentials: names, where each may go, and who used it last. There is no value in here.

import type { CredentialBinding, CredentialRow, Credentials, Failure, Unlisted } from '../backend';
import { MANAGED } from './recorded-rules';
import { type Fleet, USER_FILE } from './recorded-sources';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What a machine without a keychain says. */
export const NO_KEYCHAIN: Failure = {
  message: 'This machine’s keychain cannot be reached: no session bus.',
  remedy:
    'Credentials are kept by a Secret Service: install gnome-keyring, KWallet or KeePassXC, and start Chaperone in a desktop session. Chaperone keeps no credential in a plain file.',
};

/** What is said of a host that no list has. */
function unlisted(host: string): Unlisted {
  return {
    what: `Requests to ${host} are asked about: it is not in network.allow.`,
    remedy: `Add it to your configuration: network.allow = ["${host}"].`,
  };
}

type Ago = (milliseconds: number) => string;

export function makeCredentials(fleet: Fleet, fresh: boolean, ago: Ago): Credentials {
  const managed = fleet !== 'nobody' && fleet !== 'broken';
  const own = (line: number) => ({ kind: 'user-file', locator: `${USER_FILE}:${line}` }) as const;
  const binding = (fields: Partial<CredentialBinding> & { host: string }): CredentialBinding => ({
    places: ['x-api-key: {}'],
    env: null,
    methods: [],
    paths: [],
    when: null,
    origin: own(31),
    managed: false,
    unlisted: null,
    ...fields,
  });
  const row = (fields: Partial<CredentialRow> & { name: string }): CredentialRow => ({
    kept: true,
    set: ago(9 * DAY),
    used: null,
    bindings: [],
    ...fields,
  });
  if (fresh) return { rows: [], lost: [], closed: null, unused: null };
  const anthropic = row({
    name: 'anthropic',
    used: {
      time: ago(23 * MINUTE),
      session: 's-7f3a91c2',
      agent: 'Claude Code',
      workspace: '/home/ada/work/api',
      host: 'api.anthropic.com:443',
    },
    bindings: [binding({ host: 'api.anthropic.com', env: 'ANTHROPIC_API_KEY' })],
  });
  const github = row({
    name: 'github',
    set: ago(40 * DAY),
    used: {
      time: ago(5 * HOUR),
      session: 's-90ab12ff',
      agent: 'Claude Code',
      workspace: '/home/ada/work/api',
      host: 'api.github.com:443',
    },
    bindings: [
      binding({
        host: 'api.github.com',
        places: ['authorization: Bearer {}'],
        env: 'GITHUB_TOKEN',
        methods: ['GET'],
        paths: ['/repos/acme'],
        ...(managed ? { origin: MANAGED, managed: true } : { origin: own(38) }),
      }),
    ],
  });
  const loose = row({ name: 'npm-publish', set: ago(2 * DAY) });
  const unheard = row({
    name: 'sentry',
    set: ago(3 * DAY),
    bindings: [
      binding({
        host: 'sentry.example',
        places: ['authorization: Bearer {}'],
        env: 'SENTRY_AUTH_TOKEN',
        origin: own(54),
        unlisted: unlisted('sentry.example'),
      }),
    ],
  });
  const missing = row({
    name: 'openai',
    kept: false,
    set: null,
    bindings: [
      binding({
        host: 'api.openai.com',
        places: ['authorization: Bearer {}'],
        env: 'OPENAI_API_KEY',
        when: 'agent = codex',
        ...(managed ? { origin: MANAGED, managed: true } : { origin: own(46) }),
      }),
    ],
  });
  if (fleet === 'broken') {
    const name = `acme.${'deep-folder-'.repeat(4)}key`.slice(0, 64);
    const workspace = `/home/ada/work/${'clients/'.repeat(12)}\u202eipa`;
    const long = row({
      name,
      used: { ...anthropic.used!, workspace, host: `${'a-long-label.'.repeat(14)}example:8443` },
      bindings: Array.from({ length: 7 }, (_, at) =>
        binding({
          host: `*.${'a-long-label.'.repeat(14)}example:${8443 + at}`,
          places: ['authorization: Bearer {}', '?a-parameter-with-a-long-name={}'],
          env: 'ACME_SERVICE_CREDENTIAL_FOR_EVERY_ENVIRONMENT',
          methods: ['GET', 'HEAD', 'OPTIONS', 'POST'],
          paths: [`/${'v1/things/'.repeat(12)}`, '/v2'],
          when: 'agent = claude-code or codex, workspace = ~/work/**',
        }),
      ),
    });
    const unused = {
      reason:
        'No session starts: /etc/chaperone/policy.d/30-broken.toml cannot be read, and nobody knows what it forbids.',
      origin: { kind: 'managed-file', locator: '/etc/chaperone/policy.d/30-broken.toml' } as const,
    };
    return { rows: [long, loose], lost: [], closed: null, unused };
  }
  const lost = {
    name: 'github',
    host: 'gitlab.example',
    origin: own(31),
    reason: `managed-file ${MANAGED.locator} binds the credential \`github\``,
  };
  return {
    rows: managed ? [github, loose, missing] : [anthropic, github, loose, missing, unheard],
    lost: managed ? [lost] : [],
    closed: managed ? MANAGED : null,
    unused: null,
  };
}
