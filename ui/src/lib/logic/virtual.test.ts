import { describe, expect, it } from 'vitest';
import { scrollTo, visibleRows } from './virtual';

describe('a virtual list', () => {
  it('draws what is visible and a few more', () => {
    expect(visibleRows(100_000, 36, 36_000, 360, 8)).toEqual({ from: 992, to: 1018 });
  });

  it('never leaves the list', () => {
    expect(visibleRows(3, 36, 0, 360)).toEqual({ from: 0, to: 3 });
    expect(visibleRows(0, 36, 0, 360)).toEqual({ from: 0, to: 0 });
    expect(visibleRows(3, 36, 99_999, 360)).toEqual({ from: 3, to: 3 });
    expect(visibleRows(10, 36, -50, 360, 0)).toEqual({ from: 0, to: 9 });
  });

  it('scrolls as little as possible', () => {
    expect(scrollTo(0, 36, 100, 360)).toBe(0);
    expect(scrollTo(5, 36, 0, 360)).toBe(0);
    expect(scrollTo(20, 36, 0, 360)).toBe(396);
  });
});
