import { describe, expect, it } from 'vitest';
import { looksLike, withoutScheme } from './question';

describe('the Why? box', () => {
  it.each([
    ['git push origin main', 'command'],
    ['make', 'command'],
    ['cat ~/.ssh/id', 'command'],
    ['~/.ssh/id_ed25519', 'read'],
    ['/etc/passwd', 'read'],
    ['./src', 'read'],
    ['.', 'read'],
    ['C:\\Users', 'read'],
    ['api.acme.com', 'host'],
    ['api.acme.com:8443', 'host'],
    ['localhost:3000', 'host'],
    ['127.0.0.1', 'host'],
    ['[::1]:80', 'host'],
  ])('%s looks like a %s', (text, about) => {
    expect(looksLike(text)).toBe(about);
  });

  it('takes the host out of an address', () => {
    expect(withoutScheme('https://me@api.acme.com:8443/x?y')).toBe('api.acme.com:8443');
    expect(withoutScheme(' git push ')).toBe('git push');
  });
});
