// A long list that comes in pages: more is fetched as its end comes near, and what is new at its
// beginning is put before what is there already.

import type { Failure } from './backend';
import { PATIENCE_MS, asFailure } from './live.svelte';

interface Part<T> {
  rows: T[];
  next: string | null;
  total: number;
}

export class Paged<T> {
  rows = $state.raw<T[]>([]);
  total = $state(0);
  failure = $state.raw<Failure | null>(null);
  /** The first page has not come yet, and it has taken a while. */
  slow = $state(false);
  /** The first page has come. */
  loaded = $state(false);

  readonly #load: (cursor: string | null) => Promise<Part<T>>;
  readonly #id: (row: T) => string;
  #next: string | null = null;
  #run = 0;
  #busy = false;
  #again = false;

  constructor(load: (cursor: string | null) => Promise<Part<T>>, id: (row: T) => string) {
    this.#load = load;
    this.#id = id;
  }

  /** Begins anew, as when the question changed; what is there stays until the answer comes. */
  async restart(): Promise<void> {
    this.#run += 1;
    const run = this.#run;
    const patience = setTimeout(() => {
      if (run === this.#run && !this.loaded) this.slow = true;
    }, PATIENCE_MS);
    await this.#ask(null, (part) => {
      this.rows = part.rows;
      this.#next = part.next;
      this.loaded = true;
    });
    clearTimeout(patience);
    if (run === this.#run) this.slow = false;
  }

  /** Fetches what follows the last row. */
  async more(): Promise<void> {
    if (this.#busy || this.#next === null) return;
    await this.#ask(this.#next, (part) => {
      const known = new Set(this.rows.map(this.#id));
      this.rows = [...this.rows, ...part.rows.filter((row) => !known.has(this.#id(row)))];
      this.#next = part.next;
    });
  }

  /** Fetches what came before the first row, and refreshes the rows of the first page. */
  async refresh(): Promise<void> {
    if (!this.loaded) return this.restart();
    if (this.#busy) {
      this.#again = true;
      return;
    }
    await this.#ask(null, (part) => {
      const fresh = new Set(part.rows.map(this.#id));
      const kept = this.rows.filter((row) => !fresh.has(this.#id(row)));
      if (kept.length === this.rows.length) {
        // More is new than one page holds: the rows between are not known.
        this.rows = part.rows;
        this.#next = part.next;
      } else {
        this.rows = [...part.rows, ...kept];
      }
    });
  }

  async #ask(cursor: string | null, take: (part: Part<T>) => void): Promise<void> {
    const run = this.#run;
    this.#busy = true;
    try {
      const part = await this.#load(cursor);
      if (run !== this.#run) return;
      take(part);
      this.total = part.total;
      this.failure = null;
    } catch (error) {
      if (run === this.#run) this.failure = asFailure(error);
    } finally {
      if (run === this.#run) this.#busy = false;
    }
    if (this.#again && run === this.#run) {
      this.#again = false;
      await this.refresh();
    }
  }
}
