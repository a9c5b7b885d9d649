// Makes text from an agent safe to read: characters that hide, reorder or imitate are shown by
// name instead of being obeyed. Pure. What is dangerous follows Unicode TR36, TR39 and TR9.

/** A stretch of text to show as it is, or a mark that stands for one character. */
export interface Piece {
  readonly text: string;
  /** The character's name, for a mark; `null` for plain text. */
  readonly mark: string | null;
  /** Where the exact line breaks here too. */
  readonly breaks: boolean;
}

const NAMES = new Map<number, string>([
  [0x00, 'NUL'],
  [0x07, 'BEL'],
  [0x08, 'BS'],
  [0x09, 'TAB'],
  [0x0a, 'LF'],
  [0x0b, 'VT'],
  [0x0c, 'FF'],
  [0x0d, 'CR'],
  [0x1b, 'ESC'],
  [0x7f, 'DEL'],
  [0x85, 'NEL'],
  [0xa0, 'NBSP'],
  [0xad, 'SHY'],
  [0x034f, 'CGJ'],
  [0x061c, 'ALM'],
  [0x115f, 'HANGUL FILLER'],
  [0x1160, 'HANGUL FILLER'],
  [0x180e, 'MVS'],
  [0x200b, 'ZWSP'],
  [0x200c, 'ZWNJ'],
  [0x200d, 'ZWJ'],
  [0x200e, 'LRM'],
  [0x200f, 'RLM'],
  [0x2028, 'LINE SEPARATOR'],
  [0x2029, 'PARAGRAPH SEPARATOR'],
  [0x202a, 'LRE'],
  [0x202b, 'RLE'],
  [0x202c, 'PDF'],
  [0x202d, 'LRO'],
  [0x202e, 'RLO'],
  [0x2060, 'WJ'],
  [0x2066, 'LRI'],
  [0x2067, 'RLI'],
  [0x2068, 'FSI'],
  [0x2069, 'PDI'],
  [0x2800, 'BRAILLE BLANK'],
  [0x3164, 'HANGUL FILLER'],
  [0xfeff, 'BOM'],
  [0xffa0, 'HANGUL FILLER'],
  [0xfffd, 'NOT UTF-8'],
]);

// Control, format, separator other than the space, private use, surrogate, unassigned; and the
// default ignorable code points, which draw nothing.
const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}\p{Default_Ignorable_Code_Point}\u2800\ufffd]|(?! )\p{Zs}/u;

// A word that mixes Latin with letters that look like Latin is how `аpi.acme.com` is written.
const LATIN = /\p{Script=Latin}/u;
const LOOKALIKE = /\p{Script=Cyrillic}|\p{Script=Greek}|\p{Script=Armenian}|\p{Script=Cherokee}/u;

function code(point: number): string {
  return `U+${point.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The text in pieces: plain stretches, and one mark for each character that would mislead. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let plain = '';
  const flush = () => {
    if (plain) found.push({ text: plain, mark: null, breaks: false });
    plain = '';
  };
  for (const word of text.split(/(?<=\s)|(?=\s)/u)) {
    const mixed = LATIN.test(word) && LOOKALIKE.test(word);
    for (const character of word) {
      const point = character.codePointAt(0) ?? 0;
      if (HIDDEN.test(character)) {
        flush();
        const name = NAMES.get(point);
        const mark = name ?? code(point);
        found.push({
          text: mark,
          mark: name ? `${code(point)} ${name}` : mark,
          breaks: point === 0x0a,
        });
      } else if (mixed && LOOKALIKE.test(character)) {
        flush();
        found.push({
          text: `${character} ${code(point)}`,
          mark: `${code(point)}, a letter that only looks Latin`,
          breaks: false,
        });
      } else {
        plain += character;
      }
    }
  }
  flush();
  return found;
}

/** The same in one line of plain text, for titles and accessible names. */
export function visible(text: string): string {
  return pieces(text)
    .map((piece) => (piece.mark === null ? piece.text : `⟨${piece.text}⟩`))
    .join('');
}

/** Whether anything in it would mislead. */
export function misleads(text: string): boolean {
  return pieces(text).some((piece) => piece.mark !== null && !piece.breaks);
}
