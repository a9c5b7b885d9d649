// Which key was meant: shortcuts are letters on the keyboard's own layout, and where that has no
// Latin letters, the key in the place of one. Pure.

/** The key in lower case for letters; never one that composes text. */
export function meant(event: Pick<KeyboardEvent, 'key' | 'code' | 'isComposing'>): string {
  if (event.isComposing || event.key === 'Process') return '';
  if (event.key.length > 1) return event.key;
  if (event.key.charCodeAt(0) < 0x80) return event.key.toLowerCase();
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
  return letter ? letter.toLowerCase() : event.key;
}

/** Whether the press belongs to a field that takes text. */
export function inField(target: EventTarget | null): boolean {
  if (!(target instanceof Element)) return false;
  if (target.closest('textarea, select, [contenteditable="true"]')) return true;
  const input = target.closest('input');
  return input !== null && !['checkbox', 'radio', 'button'].includes(input.type);
}

/** The shortcuts of the window, for the help that `?` opens. */
export const HELP: readonly { readonly keys: readonly string[]; readonly does: string }[] = [
  { keys: ['1', '2', '3', '4', '5'], does: 'Home, Requests, Activity, Rules, Keys' },
  { keys: ['j', 'k'], does: 'next and previous row' },
  { keys: ['Enter'], does: 'open the row' },
  { keys: ['/'], does: 'search' },
  { keys: ['w'], does: 'ask why, on Rules' },
  { keys: ['a'], does: 'add a credential, on Keys' },
  { keys: ['Esc'], does: 'close what is open' },
  { keys: ['Ctrl', 'Enter'], does: 'allow the request once' },
  { keys: ['d'], does: 'deny the request' },
  { keys: ['n'], does: 'deny with a note that the agent reads' },
  { keys: ['?'], does: 'these shortcuts' },
];
