// Decides whether an input may answer a request: a press on a card that has just appeared or
// changed, or that brought the window to the front, answers nothing. Pure; time comes in.

/** How long after a card appears or changes, or the window is activated, nothing is answered. */
export const QUIET_MS = 600;

/** A press that has begun: a button of the mouse, a key, a finger. */
export interface Press {
  /** What the card showed when it began. */
  readonly shown: string;
  /** Why it answers nothing, if it was doomed from the start. */
  readonly refused: Refusal | null;
  readonly generation: number;
}

/** Why an input answered nothing. */
export type Refusal =
  | 'card-is-new'
  | 'window-just-activated'
  | 'window-not-active'
  | 'card-changed-meanwhile'
  | 'key-held-down';

export class InputGuard {
  #shown = '';
  #generation = 0;
  #shownAt = -Infinity;
  #activatedAt = -Infinity;
  #active = true;

  /** `clock` in milliseconds, monotonic. */
  constructor(
    private readonly clock: () => number,
    private readonly quiet: number = QUIET_MS,
  ) {}

  /** The card shows this now. The same text again changes nothing. */
  show(content: string): void {
    if (content === this.#shown) return;
    this.#shown = content;
    this.#generation += 1;
    this.#shownAt = this.clock();
  }

  /** The window came to the front. */
  activated(): void {
    this.#active = true;
    this.#generation += 1;
    this.#activatedAt = this.clock();
  }

  /** The window went to the back. */
  deactivated(): void {
    this.#active = false;
  }

  /** Milliseconds until input counts; 0 when it does. */
  remaining(): number {
    const since = Math.max(this.#shownAt, this.#activatedAt);
    return Math.max(0, since + this.quiet - this.clock());
  }

  /** A press begins. `held`: the key repeats because it is held down. */
  press(held = false): Press {
    return { shown: this.#shown, refused: this.#refusal(held), generation: this.#generation };
  }

  /**
   * The press has become an answer (the click, or the key itself): `null` if it counts. It must
   * have begun on the same card, in the same state, after the quiet time.
   */
  complete(press: Press): Refusal | null {
    if (press.refused) return press.refused;
    const now = this.#refusal(false);
    if (press.shown !== this.#shown) return 'card-changed-meanwhile';
    if (now) return now;
    // The quiet time of a change may have passed while the button was held.
    return press.generation === this.#generation ? null : 'card-changed-meanwhile';
  }

  #refusal(held: boolean): Refusal | null {
    if (!this.#active) return 'window-not-active';
    const now = this.clock();
    if (now - this.#shownAt < this.quiet) return 'card-is-new';
    if (now - this.#activatedAt < this.quiet) return 'window-just-activated';
    return held ? 'key-held-down' : null;
  }
}

/** What the person is told when an input answered nothing. */
export function refusalText(refusal: Refusal): string {
  switch (refusal) {
    case 'card-is-new':
      return 'Nothing was answered: the request had only just appeared.';
    case 'card-changed-meanwhile':
      return 'Nothing was answered: the request changed while you pressed.';
    case 'window-just-activated':
    case 'window-not-active':
      return 'Nothing was answered: that press brought the window to the front.';
    case 'key-held-down':
      return 'Nothing was answered: the key was held down from before.';
  }
}
