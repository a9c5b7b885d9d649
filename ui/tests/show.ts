// Puts the whole window over recorded data, with a clock that the test turns.
import { render } from '@testing-library/svelte';
import { tick } from 'svelte';
import { vi } from 'vitest';
import App from '../src/App.svelte';
import { type RecordedBackend, recordedBackend } from '../src/lib/backend/recorded';
import { Desk } from '../src/lib/desk.svelte';
import type { Page } from '../src/lib/logic/place';

export interface Shown {
  backend: RecordedBackend;
  desk: Desk;
}

/** Shows a page and waits until its data is there. Needs fake timers. */
export async function show(scenario: string, page: Page, id: string | null = null): Promise<Shown> {
  const backend = recordedBackend(scenario);
  const desk = new Desk(backend);
  desk.place = { page, id };
  render(App, { desk });
  await settle();
  return { backend, desk };
}

/** Lets promises and effects run, without moving the clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) {
    await vi.advanceTimersByTimeAsync(0);
    await tick();
  }
}

/** Moves the clock. */
export async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
  await settle();
}
