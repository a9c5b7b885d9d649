// The recorded sources of a policy, on laptops of each system.

import type { Class, LayerSummary, SourceKind } from '../backend';

/** Whose laptop it is. */
export type Fleet = 'nobody' | 'linux' | 'macos' | 'windows' | 'broken';

export const USER_FILE = '/home/ada/.config/chaperone/config.toml';
export const WORKSPACE_FILE = '/home/ada/work/api/.chaperone.toml';
export const REGISTRY = 'HKLM\\SOFTWARE\\Policies\\Chaperone';
export const OWN_REGISTRY = 'HKCU\\SOFTWARE\\Policies\\Chaperone';
export const DOMAIN = 'dev.chaperone.desktop';
export const BUNDLE = 'https://policy.acme.example/chaperone/10-hosts.toml';
const DIGEST = '3f9a1c02d4e5b6a798c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d0e1f2a3';

const CLASSES: Partial<Record<SourceKind, Class>> = {
  'managed-file': 'managed',
  'managed-profile': 'managed',
  'managed-registry': 'managed',
  'managed-bundle': 'managed',
  'user-registry': 'user-policy',
  'workspace-file': 'workspace',
};
export const classOf = (kind: SourceKind): Class => CLASSES[kind] ?? 'base';

function layer(
  kind: SourceKind,
  locator: string,
  fields: Partial<LayerSummary> = {},
): LayerSummary {
  return {
    kind,
    locator,
    class: classOf(kind),
    status: 'present',
    detail: '',
    revision: null,
    when: null,
    min_version: null,
    digest: null,
    read_at: null,
    ...fields,
  };
}

const absent = (kind: SourceKind, locator: string) => layer(kind, locator, { status: 'absent' });

/** Every source that is looked at there. */
export function layersOf(fleet: Fleet, ago: (milliseconds: number) => string): LayerSummary[] {
  const now = { read_at: ago(2_000), digest: DIGEST };
  const bundle = layer('managed-bundle', BUNDLE, {
    revision: '42.3',
    digest: DIGEST.replace('3f9a', '77c0'),
    read_at: ago(2 * 3_600_000),
  });
  const own = { ...now, digest: DIGEST.replace('3f9a', 'b204') };
  const user = layer('user-file', USER_FILE, own);
  const workspace = layer('workspace-file', WORKSPACE_FILE, { digest: null, read_at: now.read_at });
  const builtIn = layer('built-in', 'defaults');
  switch (fleet) {
    case 'nobody':
      return [
        builtIn,
        absent('recommended-file', '/etc/chaperone/recommended.d'),
        absent('managed-file', '/etc/chaperone/policy.d'),
        user,
        workspace,
      ];
    case 'linux':
      return [
        builtIn,
        layer('agent-file', 'claude-code'),
        absent('recommended-file', '/etc/chaperone/recommended.d'),
        layer('managed-file', '/etc/chaperone/policy.d/20-acme.toml', { revision: '42', ...now }),
        layer('managed-file', '/etc/chaperone/policy.d/30-windows.json', {
          when: 'os = windows',
          detail: 'It does not apply here: it holds when os = windows.',
          ...now,
        }),
        bundle,
        user,
        layer('command-line', '/home/ada/strict.toml', now),
        workspace,
      ];
    case 'macos':
      return [
        builtIn,
        absent('recommended-file', '/Library/Application Support/Chaperone/recommended.d'),
        layer('recommended-profile', `${DOMAIN}.recommended`, now),
        absent('managed-file', '/Library/Application Support/Chaperone/policy.d'),
        layer('managed-profile', DOMAIN, { revision: '42', ...now }),
        bundle,
        layer('user-preference', DOMAIN, own),
        absent('user-file', '/Users/ada/Library/Application Support/Chaperone/config.toml'),
        layer('workspace-file', '/Users/ada/work/api/.chaperone.toml', now),
      ];
    case 'windows':
      return [
        builtIn,
        absent('recommended-file', 'C:\\ProgramData\\Chaperone\\recommended.d'),
        layer('recommended-registry', `${REGISTRY}\\Recommended`, now),
        absent('managed-file', 'C:\\ProgramData\\Chaperone\\policy.d'),
        layer('managed-registry', REGISTRY, { revision: '42', min_version: '0.1.0', ...now }),
        bundle,
        layer('user-registry', OWN_REGISTRY, own),
        layer('user-file', 'C:\\Users\\ada\\AppData\\Roaming\\Chaperone\\config.toml', own),
        absent('workspace-file', 'C:\\work\\api\\.chaperone.toml'),
      ];
    case 'broken':
      return [
        builtIn,
        layer('recommended-file', '/etc/chaperone/recommended.d/10-defaults.toml', {
          status: 'unreadable',
          detail: 'Permission denied (os error 13).',
        }),
        layer('managed-file', '/etc/chaperone/policy.d/20-acme.toml', {
          revision: '42',
          detail:
            '2 findings; the first: network.mode: expected "none", "proxy" or "direct", found "prxy".',
          ...now,
        }),
        layer('managed-file', '/etc/chaperone/policy.d/30-new.json', {
          status: 'untrusted',
          min_version: '0.9.0',
          detail: 'user 1000 can write it, so its restrictions apply and its grants do not.',
          ...now,
        }),
        { ...bundle, status: 'expired', detail: 'It was signed until 1 November 2026.' },
        { ...user, detail: '2 findings; the first: network.dney: expected `network.deny`.' },
        {
          ...workspace,
          status: 'invalid',
          detail: `Not valid TOML. ${WORKSPACE_FILE}:2:2: expected valid TOML, found the key stands here twice.`,
        },
      ];
  }
}
