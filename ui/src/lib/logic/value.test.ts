import { describe, expect, it } from 'vitest';
import { inline, lines } from './value';

const rule = { prefix: ['git', 'push'], decision: 'ask', reason: 'Publishes work.' };

describe('a policy value', () => {
  it('is one line in a list', () => {
    expect(inline(null)).toBe('not set');
    expect(inline(false)).toBe('false');
    expect(inline(4096)).toBe('4096');
    expect(inline('none')).toBe('none');
    expect(inline([])).toBe('none');
    expect(inline(['a', 'b'])).toBe('a, b');
    expect(inline([rule])).toBe('1 rule');
    expect(inline([rule, rule])).toBe('2 rules');
    expect(inline({ a: 1 })).toBe('{"a":1}');
  });

  it('has a line for each entry in its detail', () => {
    expect(lines(['a', 'b'])).toEqual(['a', 'b']);
    expect(lines([])).toEqual(['none']);
    expect(lines('10m')).toEqual(['10m']);
    expect(lines([rule])).toEqual(['ask: git push (Publishes work.)']);
    expect(lines([{ a: 1 }])).toEqual(['{"a":1}']);
  });
});
