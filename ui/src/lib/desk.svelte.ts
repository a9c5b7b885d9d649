// What all pages share: the backend, where the window is, the theme, what waits for an answer,
// and who hears a key.

import { createContext } from 'svelte';
import type { Backend, Failure, Managed, Requests, Settings, Theme } from './backend';
import { Live, asFailure } from './live.svelte';
import { inField, meant } from './logic/keys';
import { type Place, format, parse } from './logic/place';

/** Takes a key by returning `true`. */
export type KeyHandler = (key: string, event: KeyboardEvent) => boolean;

/** The longest that the first picture waits for the settings. */
const SETTINGS_MS = 250;

export class Desk {
  readonly backend: Backend;
  readonly requests: Live<Requests>;
  readonly settings: Live<Settings>;
  /** Who manages this laptop; `null` while it is not known, and where nobody does. */
  readonly managed: Live<Managed | null>;

  place = $state.raw<Place>({ page: 'home', id: null });
  helpOpen = $state(false);
  /** Chosen in this window, before the settings say so too. */
  #theme = $state<Theme | null>(null);
  /** What went wrong with something that belongs to no page. */
  failure = $state.raw<Failure | null>(null);
  /** Said by screen readers when it changes. */
  announcement = $state('');

  #handlers: KeyHandler[] = [];
  #systemDark = matchMedia('(prefers-color-scheme: dark)');

  constructor(backend: Backend) {
    this.backend = backend;
    this.requests = new Live(() => backend.requests());
    this.settings = new Live(() => backend.settings());
    this.managed = new Live(() => backend.managed());
  }

  /** Requests that wait for an answer. */
  get waiting(): number {
    const groups = this.requests.value?.groups ?? [];
    return groups.flatMap((group) => group.requests).filter(({ waiting }) => waiting).length;
  }

  get theme(): Theme {
    return this.#theme ?? this.settings.value?.theme ?? 'system';
  }

  /** Reads the settings and the address; waits no longer than a picture can. */
  async begin(): Promise<void> {
    const query = new URLSearchParams(location.search);
    const asked = query.get('page');
    const id = query.get('id');
    this.place =
      parse(location.hash) ??
      parse(`#/${asked ?? ''}${id === null ? '' : `/${encodeURIComponent(id)}`}`) ??
      this.place;
    this.#paint((query.get('theme') as Theme | null) ?? 'system');
    const patience = new Promise((done) => setTimeout(done, SETTINGS_MS));
    await Promise.race([this.settings.refresh(), patience]);
    if (!query.has('theme')) this.#paint(this.theme);
  }

  /** Listens to the backend and the browser until the returned function is called. */
  listen(): () => void {
    void this.requests.refresh();
    void this.managed.refresh();
    const { backend } = this;
    const stop = [
      backend.on('requests', () => void this.#refreshRequests()),
      backend.on('rules', () => void this.managed.refresh()),
      backend.on('open', (link) => {
        const place = parse(link);
        if (place) this.go(place);
      }),
    ];
    const onHash = () => {
      const place = parse(location.hash);
      if (place) this.place = place;
    };
    const onScheme = () => this.#paint(this.theme);
    window.addEventListener('hashchange', onHash);
    this.#systemDark.addEventListener('change', onScheme);
    return () => {
      for (const end of stop) end();
      window.removeEventListener('hashchange', onHash);
      this.#systemDark.removeEventListener('change', onScheme);
    };
  }

  go(place: Place): void {
    this.place = place;
    history.pushState(null, '', format(place));
  }

  /** Names what is open on the page, without a step in the history. */
  open(id: string | null): void {
    if (this.place.id === id) return;
    this.place = { page: this.place.page, id };
    history.replaceState(null, '', format(this.place));
  }

  async setTheme(theme: Theme): Promise<void> {
    this.#paint(theme);
    this.#theme = theme;
    await this.#attempt(() => this.backend.setTheme(theme));
  }

  async resumeAsking(): Promise<void> {
    await this.#attempt(() => this.backend.resumeAsking());
    await this.settings.refresh();
  }

  /** Hears keys before those who came earlier, until the returned function is called. */
  hear(handler: KeyHandler): () => void {
    this.#handlers.push(handler);
    return () => {
      this.#handlers = this.#handlers.filter((one) => one !== handler);
    };
  }

  key(event: KeyboardEvent): void {
    if (event.defaultPrevented || this.helpOpen) return;
    const key = meant(event);
    // A field keeps its keys; Escape leaves it.
    if (key === '' || (inField(event.target) && key !== 'Escape')) return;
    for (const handler of this.#handlers.toReversed()) {
      if (handler(key, event)) {
        event.preventDefault();
        return;
      }
    }
  }

  async #refreshRequests(): Promise<void> {
    const before = new Set(ids(this.requests.value));
    await this.requests.refresh();
    const fresh = ids(this.requests.value).filter((id) => !before.has(id));
    if (fresh.length === 0) return;
    const all = this.requests.value?.groups.flatMap((group) => group.requests) ?? [];
    const first = all.find((request) => request.id === fresh[0]);
    if (first) this.announcement = `${first.agent} asks: ${first.sentence}`;
  }

  async #attempt(call: () => Promise<void>): Promise<void> {
    try {
      await call();
      this.failure = null;
    } catch (error) {
      this.failure = asFailure(error);
    }
  }

  #paint(theme: Theme): void {
    const dark = theme === 'dark' || (theme === 'system' && this.#systemDark.matches);
    document.documentElement.dataset['theme'] = dark ? 'dark' : 'light';
  }
}

function ids(requests: Requests | null): string[] {
  return requests?.groups.flatMap((group) => group.requests.map(({ id }) => id)) ?? [];
}

export const [useDesk, provideDesk] = createContext<Desk>();
