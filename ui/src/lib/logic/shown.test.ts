import { describe, expect, it } from 'vitest';
import { neighbour, next } from './shown';

const none = new Set<string>();

describe('the request that is shown', () => {
  it('is the oldest that waits, at first', () => {
    expect(
      next({ id: null, waiting: false }, { waiting: ['a', 'b'], answered: [] }, none, false),
    ).toEqual({ id: 'a', waiting: true });
  });

  it('stays while it waits, whatever arrives', () => {
    const shown = { id: 'b', waiting: true };
    const lists = { waiting: ['z', 'a', 'b', 'c'], answered: ['x'] };
    expect(next(shown, lists, none, false)).toEqual(shown);
    expect(next(shown, lists, none, true)).toEqual(shown);
  });

  it('makes room at once when it was answered here', () => {
    const lists = { waiting: ['b'], answered: ['a'] };
    expect(next({ id: 'a', waiting: true }, lists, new Set(['a']), false).id).toBe('b');
  });

  it('stays with its outcome when somebody else answered, unless nobody is looking', () => {
    const lists = { waiting: ['b'], answered: ['a'] };
    expect(next({ id: 'a', waiting: true }, lists, none, false).id).toBe('a');
    expect(next({ id: 'a', waiting: true }, lists, none, true).id).toBe('b');
  });

  it('goes on staying when the list changes again', () => {
    const lists = { waiting: ['b'], answered: ['a'] };
    const once = next({ id: 'a', waiting: true }, lists, none, false);
    expect(next(once, { waiting: ['b', 'c'], answered: ['a'] }, none, false).id).toBe('a');
  });

  it('makes room for a new request when nothing waited any more', () => {
    const quiet = next(
      { id: 'a', waiting: true },
      { waiting: [], answered: ['a'] },
      new Set(['a']),
      false,
    );
    expect(quiet.id).toBe('a');
    expect(next(quiet, { waiting: ['b'], answered: ['a'] }, none, false).id).toBe('b');
  });

  it('goes to the oldest when what was shown is gone, and to nothing when nothing is left', () => {
    const gone = { id: 'a', waiting: true };
    expect(next(gone, { waiting: ['b'], answered: [] }, none, false).id).toBe('b');
    expect(next(gone, { waiting: [], answered: [] }, none, false)).toEqual({
      id: null,
      waiting: false,
    });
  });
});

describe('moving through a list', () => {
  it('stops at the ends and starts at the near one', () => {
    const ids = ['a', 'b', 'c'];
    expect(neighbour(ids, 'a', 1)).toBe('b');
    expect(neighbour(ids, 'c', 1)).toBe('c');
    expect(neighbour(ids, 'a', -1)).toBe('a');
    expect(neighbour(ids, null, 1)).toBe('a');
    expect(neighbour(ids, 'gone', -1)).toBe('c');
    expect(neighbour([], 'a', 1)).toBeNull();
  });
});
