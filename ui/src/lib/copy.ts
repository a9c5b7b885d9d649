// Puts text on the clipboard; where the web view refuses the clipboard, through a selection.

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement('textarea');
    const before = document.activeElement;
    field.value = text;
    field.className = 'sr-only';
    document.body.append(field);
    field.select();
    // Deprecated, and the only way that every web view has.
    const done = document.execCommand('copy');
    field.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}
