import { describe, expect, it } from 'vitest';
import { sized } from './hosts';

describe('what went to a host', () => {
  it('is told in units, and whole beside', () => {
    expect(sized({ allowed: 1 }, 1_536)).toEqual({ text: '1.5 KiB', title: '1\u202f536 bytes' });
  });

  it('is nothing where nobody let it through, and else known at the end of its session', () => {
    expect(sized({ allowed: 0 }, null)).toEqual({ text: '·', title: 'nothing' });
    expect(sized({ allowed: 2 }, null).title).toBe('known when its session has ended');
  });
});
