import { describe, expect, it } from 'vitest';
import { format, parse } from './place';

describe('a place in the window', () => {
  it.each([
    ['chaperone://requests/r-7', { page: 'requests', id: 'r-7' }],
    ['chaperone://home', { page: 'home', id: null }],
    ['chaperone://home/', { page: 'home', id: null }],
    ['#/activity/s%2F1', { page: 'activity', id: 's/1' }],
    ['#rules', { page: 'rules', id: null }],
    ['#/rules/network.mode?x=1', { page: 'rules', id: 'network.mode' }],
    ['#/requests/%zz', { page: 'requests', id: null }],
  ])('%s', (link, place) => {
    expect(parse(link)).toEqual(place);
  });

  it.each(['', 'https://example.com', 'chaperone://elsewhere/1', '#/'])('%j is none', (link) => {
    expect(parse(link)).toBeNull();
  });

  it('is read back from its own address', () => {
    const place = { page: 'activity', id: 'a/b c' } as const;
    expect(parse(format(place))).toEqual(place);
  });
});
