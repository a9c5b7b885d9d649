import { describe, expect, it } from 'vitest';
import type { AskedHost } from '../backend';
import { answered, isChosen, short } from './chosen';

const host = (name: string, fields: Partial<AskedHost> = {}): AskedHost => ({
  name,
  known: 'Nobody has allowed it here before, and no list names it.',
  chosen: true,
  verdict: null,
  ...fields,
});

describe('the hosts that an answer is for', () => {
  it('are those that are ticked; the others that wait are denied', () => {
    const hosts = [
      host('a:443'),
      host('b:443'),
      host('x:443', { chosen: false }),
      host('y:443', { chosen: false }),
      host('done:443', { verdict: 'allow' }),
    ];
    expect(answered(hosts, new Map())).toEqual({
      hosts: ['a:443', 'b:443'],
      denied: ['x:443', 'y:443'],
    });
    const ticked = new Map([
      ['b:443', false],
      ['x:443', true],
    ]);
    expect(answered(hosts, ticked)).toEqual({
      hosts: ['a:443', 'x:443'],
      denied: ['b:443', 'y:443'],
    });
  });

  it('are the only one, whether or not something speaks against it', () => {
    const only = [host('x:443', { chosen: false })];
    expect(answered(only, new Map())).toEqual({ hosts: ['x:443'], denied: [] });
    expect(answered([], new Map())).toEqual({ hosts: [], denied: [] });
  });

  it('begin as they are found and follow the person', () => {
    expect(isChosen(host('a'), new Map())).toBe(true);
    expect(isChosen(host('a'), new Map([['a', false]]))).toBe(false);
  });
});

it('shortens a command at its end', () => {
  expect(short('npm install')).toBe('npm install');
  expect(short('npm install --no-audit --no-fund left-pad')).toBe('npm install --no-audit --no…');
});
