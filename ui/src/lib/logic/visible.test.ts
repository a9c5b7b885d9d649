import { describe, expect, it } from 'vitest';
import { misleads, pieces, visible } from './visible';

describe('text from an agent', () => {
  it('shows ordinary text as it is', () => {
    for (const text of ['git push origin main', 'naïve café', '日本語', 'Привет мир', 'a🙂b', '']) {
      expect(visible(text)).toBe(text);
      expect(misleads(text)).toBe(false);
    }
  });

  it.each([
    ['a right-to-left override', 'rm \u202egnp.exe', 'rm ⟨RLO⟩gnp.exe'],
    ['isolates', 'x\u2066y\u2069', 'x⟨LRI⟩y⟨PDI⟩'],
    ['an escape sequence', '\u001b[2Jls', '⟨ESC⟩[2Jls'],
    ['a carriage return', 'evil\rgood', 'evil⟨CR⟩good'],
    ['a zero-width space', 'git\u200bpush', 'git⟨ZWSP⟩push'],
    ['a no-break space', 'a\u00a0b', 'a⟨NBSP⟩b'],
    ['a byte-order mark', '\ufeffls', '⟨BOM⟩ls'],
    ['tag characters', 'ls\u{e0041}', 'ls⟨U+E0041⟩'],
    ['a filler that draws nothing', 'a\u3164b', 'a⟨HANGUL FILLER⟩b'],
    ['a variation selector', 'a\ufe0fb', 'a⟨U+FE0F⟩b'],
    ['bytes that were not UTF-8', 'a\ufffdb', 'a⟨NOT UTF-8⟩b'],
    ['a private-use character', 'a\ue000b', 'a⟨U+E000⟩b'],
    ['a new line', 'a\nb', 'a⟨LF⟩b'],
    ['a tab', 'a\tb', 'a⟨TAB⟩b'],
  ])('shows %s by name', (_, text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it('marks letters that only look Latin inside a Latin word', () => {
    expect(visible('\u0430pi.acme.com')).toBe('⟨\u0430 U+0430⟩pi.acme.com');
    expect(misleads('\u0430pi.acme.com')).toBe(true);
  });

  it('breaks the line at a line feed only, and does not call that misleading', () => {
    expect(pieces('a\nb').map((piece) => piece.breaks)).toEqual([false, true, false]);
    expect(misleads('a\nb')).toBe(false);
    expect(misleads('a\rb')).toBe(true);
  });

  it('loses no character', () => {
    let text = '';
    for (let point = 0; point < 0x3000; point += 1) text += String.fromCodePoint(point) + ' ';
    const shown = pieces(text);
    const plain = shown.filter((piece) => piece.mark === null).map((piece) => piece.text);
    const marks = shown.filter((piece) => piece.mark !== null).length;
    expect([...plain.join('')].length + marks).toBe([...text].length);
  });
});
