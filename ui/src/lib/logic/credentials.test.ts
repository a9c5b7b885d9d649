import { describe, expect, it } from 'vitest';
import type { CredentialBinding, CredentialRow } from '../backend';
import { NAME, example, goesTo, requests, statusOf } from './credentials';

const binding = (fields: Partial<CredentialBinding>): CredentialBinding => ({
  host: 'api.example',
  places: [],
  env: null,
  methods: [],
  paths: [],
  when: null,
  origin: { kind: 'user-file', locator: 'config.toml:1' },
  managed: false,
  unlisted: null,
  ...fields,
});
const row = (kept: boolean, ...bindings: CredentialBinding[]): CredentialRow => ({
  name: 'acme',
  kept,
  set: null,
  used: null,
  bindings,
});

describe('a credential', () => {
  it('is kept, missing, goes nowhere, or where no list lets requests through', () => {
    const unlisted = binding({ unlisted: { what: 'Asked about.', remedy: 'Add it.' } });
    expect(statusOf(row(true, binding({}))).word).toBe('Kept');
    expect(statusOf(row(true, binding({}), unlisted)).word).toBe('Not listed');
    expect(statusOf(row(false, unlisted)).word).toBe('Missing');
    expect(statusOf(row(false, binding({}))).word).toBe('Missing');
    expect(statusOf(row(true)).word).toBe('Not bound');
  });

  it('names each host once', () => {
    expect(goesTo(row(true, binding({}), binding({ host: 'b.example' }), binding({})))).toBe(
      'api.example, b.example',
    );
    expect(goesTo(row(true))).toBe('');
  });

  it.each([
    [{}, 'Every request'],
    [{ methods: ['GET', 'HEAD'] }, 'Only GET, HEAD'],
    [{ paths: ['/v1'] }, 'Only requests beneath /v1'],
    [{ methods: ['GET'], paths: ['/v1', '/v2'] }, 'Only GET beneath /v1, /v2'],
  ])('%j is for: %s', (fields, words) => {
    expect(requests(binding(fields))).toBe(words);
  });

  it('has a name that files and policies take', () => {
    const name = new RegExp(`^(?:${NAME})$`, 'v');
    for (const good of ['anthropic', '1password', 'npm-publish_2.eu', 'a'.repeat(64)]) {
      expect(name.test(good), good).toBe(true);
    }
    for (const bad of ['', '-a', '.', 'A', 'a b', 'ü', 'a/b', 'a'.repeat(65)]) {
      expect(name.test(bad), bad).toBe(false);
    }
    expect(example('acme')).toContain('secret = "acme"');
  });
});
