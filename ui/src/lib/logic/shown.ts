// Which request the page shows when the list changes: a card that waits is never replaced under
// the person's eyes, and one that waits no longer makes room as soon as nothing is lost. Pure.

export interface Shown {
  /** The request on the card, if any. */
  readonly id: string | null;
  /** Whether it still waited when it was last looked at. */
  readonly waiting: boolean;
}

export interface Lists {
  /** Oldest first, across sessions in the page's order. */
  readonly waiting: readonly string[];
  /** Newest first. */
  readonly answered: readonly string[];
}

/**
 * What to show next. `answeredHere`: the request that this window has just answered, which makes
 * room at once. One that somebody else answered, or that expired, stays with its outcome until
 * the person moves on, unless nothing else waited by then, or `away` (nobody reads it).
 */
export function next(
  shown: Shown,
  lists: Lists,
  answeredHere: ReadonlySet<string>,
  away: boolean,
): Shown {
  const { id } = shown;
  const first = lists.waiting[0] ?? null;
  if (id !== null && lists.waiting.includes(id)) return { id, waiting: true };
  if (id !== null && lists.answered.includes(id)) {
    const stays = shown.waiting && !answeredHere.has(id) && !away;
    if (first === null) return { id, waiting: false };
    if (stays) return { id, waiting: true };
    return { id: first, waiting: true };
  }
  return { id: first, waiting: first !== null };
}

/** The neighbour of `id` in the list, `step` rows on; stays at the ends. */
export function neighbour(ids: readonly string[], id: string | null, step: number): string | null {
  if (ids.length === 0) return null;
  const at = id === null ? -1 : ids.indexOf(id);
  if (at < 0) return (step > 0 ? ids[0] : ids[ids.length - 1]) ?? null;
  return ids[Math.min(ids.length - 1, Math.max(0, at + step))] ?? null;
}
