// One answer of the backend, kept fresh: what came last stays on screen while newer data is on
// its way, and waiting shows only when it takes longer than a tenth of a second.

import type { Failure } from './backend';

/** Loading for less than this shows nothing. */
export const PATIENCE_MS = 100;

export class Live<T> {
  value = $state.raw<T | null>(null);
  failure = $state.raw<Failure | null>(null);
  /** Nothing has come yet, and it has taken a while. */
  slow = $state(false);

  readonly #load: () => Promise<T>;
  #run = 0;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  /** Asks again. Of several questions under way, only the last one's answer counts. */
  async refresh(): Promise<void> {
    this.#run += 1;
    const run = this.#run;
    const patience = setTimeout(() => {
      if (run === this.#run && this.value === null) this.slow = true;
    }, PATIENCE_MS);
    try {
      const value = await this.#load();
      if (run !== this.#run) return;
      this.value = value;
      this.failure = null;
    } catch (error) {
      if (run !== this.#run) return;
      this.failure = asFailure(error);
    } finally {
      clearTimeout(patience);
      if (run === this.#run) this.slow = false;
    }
  }

  /** Forgets what came, as when the question changes. */
  clear(): void {
    this.#run += 1;
    this.value = null;
    this.failure = null;
    this.slow = false;
  }
}

/** Whatever was thrown, as something to show. */
export function asFailure(error: unknown): Failure {
  if (typeof error === 'object' && error !== null && 'message' in error) {
    const { message } = error;
    const remedy = 'remedy' in error && typeof error.remedy === 'string' ? error.remedy : null;
    if (typeof message === 'string' && message) return { message, remedy };
  }
  if (typeof error === 'string' && error) return { message: error, remedy: null };
  return { message: 'Something went wrong that Chaperone has no words for.', remedy: null };
}
