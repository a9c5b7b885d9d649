// Where a key belongs to a field and not to the window.
import { describe, expect, it } from 'vitest';
import { inField } from '../src/lib/logic/keys';

describe('keys', () => {
  it('in a field belong to it', () => {
    document.body.innerHTML =
      '<input id="a"><input id="b" type="checkbox"><button id="c"></button>';
    expect(inField(document.getElementById('a'))).toBe(true);
    expect(inField(document.getElementById('b'))).toBe(false);
    expect(inField(document.getElementById('c'))).toBe(false);
    expect(inField(null)).toBe(false);
  });
});
