import { describe, expect, it } from 'vitest';
import { meant } from './keys';

const press = (key: string, code = '', isComposing = false) => meant({ key, code, isComposing });

describe('keys', () => {
  it('are meant by letter, and by place where the layout has no Latin letters', () => {
    expect(press('d', 'KeyD')).toBe('d');
    expect(press('D', 'KeyD')).toBe('d');
    expect(press('e', 'KeyD')).toBe('e'); // Dvorak: the letter counts
    expect(press('в', 'KeyD')).toBe('d'); // Russian
    expect(press('?', 'Slash')).toBe('?');
    expect(press('Escape')).toBe('Escape');
  });

  it('that compose text mean nothing', () => {
    expect(press('Enter', 'Enter', true)).toBe('');
    expect(press('Process', 'KeyD')).toBe('');
  });
});
