// Where the window is: a page, and what is open on it. The same names stand in the window's own
// address (`#/requests/ID`) and in links from outside (`chaperone://requests/ID`). Pure.

export const PAGES = ['home', 'requests', 'activity', 'rules', 'keys'] as const;
export type Page = (typeof PAGES)[number];

export const TITLES: Record<Page, string> = {
  home: 'Home',
  requests: 'Requests',
  activity: 'Activity',
  rules: 'Rules',
  keys: 'Keys',
};

export interface Place {
  readonly page: Page;
  /** A request, a session, a key of the policy, or a credential. */
  readonly id: string | null;
}

/** The place that a link names; `null` if it names none. */
export function parse(link: string): Place | null {
  const path = /^(?:chaperone:\/\/|#\/?)([^?]*)/.exec(link)?.[1];
  if (path === undefined) return null;
  const [first = '', ...rest] = path.split('/');
  const page = PAGES.find((known) => known === first);
  if (!page) return null;
  const id = rest.filter(Boolean).join('/');
  if (!id) return { page, id: null };
  try {
    return { page, id: decodeURIComponent(id) };
  } catch {
    return { page, id: null };
  }
}

/** The window's own address of a place. */
export function format(place: Place): string {
  return place.id === null ? `#/${place.page}` : `#/${place.page}/${encodeURIComponent(place.id)}`;
}
