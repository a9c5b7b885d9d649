// Chooses the backend: the app's commands inside the app, recorded data in a plain browser of a
// build that has it (the app's own build has none).

import type { Backend } from '../backend';

export async function chooseBackend(): Promise<Backend> {
  if ('__TAURI_INTERNALS__' in window) {
    const { tauriBackend } = await import('./tauri');
    return tauriBackend();
  }
  if (import.meta.env.MODE !== 'production') {
    const { recordedBackend } = await import('./recorded');
    return recordedBackend(new URLSearchParams(location.search).get('recorded') ?? 'busy');
  }
  throw new Error('This page belongs to the Chaperone app and does nothing in a browser.');
}
