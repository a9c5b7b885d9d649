// Credentials in words: how each stands, where it goes, and what ends without it. Pure.

import type { CredentialBinding, CredentialRow } from '../backend';
import type { StatusWords } from './policy';

const KEPT: StatusWords = { word: 'Kept', icon: 'allow', colour: 'text-allow' };
const MISSING: StatusWords = { word: 'Missing', icon: 'alert', colour: 'text-ask' };
const UNLISTED: StatusWords = { word: 'Not listed', icon: 'alert', colour: 'text-ask' };
const UNBOUND: StatusWords = { word: 'Not bound', icon: 'unset', colour: 'text-quiet' };

export function statusOf({ kept, bindings }: CredentialRow): StatusWords {
  if (!kept) return MISSING;
  if (bindings.length === 0) return UNBOUND;
  return bindings.some(({ unlisted }) => unlisted) ? UNLISTED : KEPT;
}

/** Its hosts, each once. */
export function goesTo({ bindings }: CredentialRow): string {
  return [...new Set(bindings.map(({ host }) => host))].join(', ');
}

/** Which requests to its host a binding is for: `Every request`, `Only GET, beneath /repos`. */
export function requests({ methods, paths }: CredentialBinding): string {
  if (methods.length === 0 && paths.length === 0) return 'Every request';
  const which = methods.length === 0 ? 'requests' : methods.join(', ');
  return paths.length === 0 ? `Only ${which}` : `Only ${which} beneath ${paths.join(', ')}`;
}

/** What a name looks like: as the keychain's side reads it. */
export const NAME = '[a-z0-9][a-z0-9._\\-]{0,63}';

/** What a person adds to their own file so that sessions use a credential. */
export function example(name: string): string {
  return [
    '[[credentials.inject]]',
    `secret = "${name}"`,
    'host = "api.acme.example"',
    'header = "authorization"',
    'template = "Bearer {}"',
    'env = "ACME_API_KEY"',
  ].join('\n');
}
