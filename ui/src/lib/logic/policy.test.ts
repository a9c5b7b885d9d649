import { describe, expect, it } from 'vitest';
import type { Finding, PolicyValue } from '../backend';
import {
  consequence,
  entries,
  findingPlace,
  found,
  isManaged,
  keyRows,
  manager,
  nearest,
  notUnderstood,
  setBy,
  shortValue,
} from './policy';

const finding = (fields: Partial<Finding> = {}): Finding => ({
  file: '/u.toml',
  line: 3,
  column: 1,
  key: 'network.dney',
  problem: 'unknown-key',
  expected: '`network.deny`',
  found: 'the unknown key `dney`',
  status: 'dropped',
  ...fields,
});

const value = (fields: Partial<PolicyValue> = {}): PolicyValue => ({
  key: 'network.mode',
  value: 'none',
  origins: [{ kind: 'managed-file', locator: '/m.toml:2' }],
  merge: 'ordered',
  status: 'applied',
  losers: [],
  findings: [],
  level: 'managed',
  detail: 'It holds.',
  running: [],
  ...fields,
});

describe('a search', () => {
  const rows = keyRows(
    [value(), value({ key: 'limits.memory', value: null, origins: [], status: 'unset' })],
    [finding(), finding({ problem: 'wrong-value', key: 'network.mode' })],
  );
  const keys = (text: string, unset = false) => found(rows, text, unset).map(({ id }) => id);

  it('without words leaves out what nobody sets, and never what nobody knows', () => {
    expect(keys('')).toEqual(['?/u.toml:3:1', 'network.mode']);
    expect(keys(' ', true)).toEqual(['?/u.toml:3:1', 'network.mode', 'limits.memory']);
  });

  it('finds keys, values, places, statuses and levels, also those that nobody sets', () => {
    expect(keys('NONE')).toEqual(['network.mode']);
    expect(keys('m.toml:2')).toEqual(['network.mode']);
    expect(keys('managed applied')).toEqual(['network.mode']);
    expect(keys('memory')).toEqual(['limits.memory']);
    expect(keys('unknown')).toEqual(['?/u.toml:3:1']);
    expect(keys('network memory')).toEqual([]);
  });
});

describe('a finding', () => {
  it('says where it is, also where places are not lines', () => {
    expect(findingPlace(finding())).toBe('/u.toml:3:1');
    const pointer = finding({ file: '/p.json#/network/mode', line: 0, column: 0 });
    expect(findingPlace(pointer)).toBe('/p.json#/network/mode');
    expect(consequence(finding())).toBe('It is ignored.');
  });

  it('names the nearest key, where one is near', () => {
    expect(nearest(finding())).toBe('network.deny');
    expect(nearest(finding({ expected: 'one of mode, allow, deny, closed' }))).toBeNull();
    expect(nearest(finding({ problem: 'wrong-value' }))).toBeNull();
    const shown = keyRows([], [finding(), finding({ problem: 'unsupported' })]).map(shortValue);
    expect(shown).toEqual(['nearest is network.deny', 'for a newer Chaperone']);
  });

  it('is counted by keys, and a note is none', () => {
    expect(notUnderstood([])).toBeNull();
    expect(notUnderstood([finding({ status: 'noted' })])).toBeNull();
    expect(notUnderstood([finding(), finding({ line: 9 })])).toBe('1 key is not understood');
    const two = [finding(), finding({ key: 'limits.memory' })];
    expect(notUnderstood(two)).toBe('2 keys are not understood');
  });
});

describe('a value', () => {
  it('of a list has an entry for each origin, those of the defaults apart', () => {
    const builtIn = { kind: 'built-in' as const, locator: 'defaults' };
    const own = { kind: 'user-file' as const, locator: '/u.toml:1' };
    expect(entries(value({ value: ['a', 'b'], origins: [builtIn, own] }))).toEqual({
      own: [{ value: 'b', origin: own }],
      builtIn: [{ value: 'a', origin: builtIn }],
    });
  });

  it('that several layers say is told once, with all of them', () => {
    const other = { kind: 'managed-file' as const, locator: '/m2.toml:1' };
    const both = [...value().origins, other];
    expect(entries(value({ origins: both })).own).toEqual([
      { value: 'none', origin: both[0] },
      { value: null, origin: other },
    ]);
    expect(entries(value({ value: null, origins: [] })).own).toEqual([
      { value: null, origin: null },
    ]);
  });
});

describe('who manages', () => {
  it('is named, or called the organisation', () => {
    const acme = { by: 'Acme', revision: null, read_at: null, observes: null };
    expect(manager(acme)).toBe('Acme');
    expect(manager({ ...acme, by: null })).toBe('your organisation');
    expect(manager(null)).toBe('your organisation');
  });

  it('is whoever sets managed sources, not who recommends', () => {
    expect(isManaged('managed-registry')).toBe(true);
    expect(isManaged('recommended-profile')).toBe(false);
    expect(isManaged('user-registry')).toBe(false);
    expect(setBy({ kind: 'user-registry' })).toBe('your own registry policy');
  });
});
