// The backend over recorded data: every state of every page, with no app and no session behind
// it. Answers, revocations and new requests change the data, so that pages can be tried out.

import type {
  Answer,
  AnswerOutcome,
  Backend,
  EventFilter,
  EventPage,
  EventRow,
  Failure,
  RequestCard,
  RequestGroup,
  Topics,
} from '../backend';
import { hostRows } from './recorded-hosts';
import { makeReport } from './recorded-rules';
import { type Scenario, type Recording, recording } from './recording';

const PAGE = 200;

export interface RecordedBackend extends Backend {
  /** What it serves; tests read and change it. */
  readonly recording: Recording;
  /** A request arrives. */
  ask(request: RequestCard): void;
  /** Somebody else answers, or the clock does. */
  settle(id: string, outcome: 'allowed' | 'denied' | 'expired' | 'withdrawn', by: string): void;
  /** Tells whoever listens. */
  tell<T extends keyof Topics>(topic: T, payload: Topics[T]): void;
}

export function recordedBackend(scenario: Scenario | string, now = Date.now()): RecordedBackend {
  const data = recording(scenario, now);
  const listeners = new Map<keyof Topics, Set<(payload: never) => void>>();

  const tell = <T extends keyof Topics>(topic: T, payload: Topics[T]) => {
    for (const callback of listeners.get(topic) ?? []) callback(payload as never);
  };

  // Copies, as the real border makes them: a page never holds what the backend changes.
  const serve = async <T>(value: () => T): Promise<T> => {
    if (data.delay > 0) await new Promise((done) => setTimeout(done, data.delay));
    if (data.failure) throw structuredClone<Failure>(data.failure);
    return structuredClone(value());
  };

  const waiting = (): RequestCard[] => data.groups.flatMap((group) => group.requests);

  const settle: RecordedBackend['settle'] = (id, outcome, by) => {
    const request = waiting().find((candidate) => candidate.id === id);
    if (!request) return;
    remove(data.groups, id);
    const at = new Date().toISOString();
    data.answered.unshift({ request, outcome, scope: null, by, note: null, at });
    tell('requests', null);
  };

  const answer = (given: Answer): AnswerOutcome => {
    const request = waiting().find((candidate) => candidate.id === given.request);
    const at = new Date().toISOString();
    if (data.answers === 'late' || !request) {
      if (request) settle(given.request, 'denied', 'the terminal');
      return { outcome: 'late', by: 'the terminal', verdict: 'deny', at };
    }
    if (data.answers === 'refused') {
      return {
        outcome: 'refused',
        reason: 'The session does not accept answers from this window.',
      };
    }
    remove(data.groups, given.request);
    data.answered.unshift({
      request,
      outcome: given.verdict === 'allow' ? 'allowed' : 'denied',
      scope: given.scope,
      by: 'you',
      note: given.note,
      at,
    });
    queueMicrotask(() => tell('requests', null));
    return { outcome: 'accepted' };
  };

  return {
    recording: data,
    settle,
    tell,
    ask(request) {
      const group = data.groups.find((candidate) => candidate.session.id === request.session);
      const session = group?.session ?? data.sessions.find(({ id }) => id === request.session);
      if (group) group.requests.push(request);
      else if (session) data.groups.push({ session, requests: [request] });
      tell('requests', null);
    },

    home: () => serve(() => data.home),
    managed: () => serve(() => data.managed),
    requests: () => serve(() => ({ groups: data.groups, answered: data.answered })),
    answer: (given) => serve(() => answer(given)),
    sessions: (cursor) =>
      serve(() => {
        const from = Number(cursor ?? 0);
        const to = from + PAGE;
        const { sessions } = data;
        const next = to < sessions.length ? String(to) : null;
        return { rows: sessions.slice(from, to), next, total: sessions.length };
      }),
    story: (session) =>
      serve(() => {
        const story = data.story(session);
        if (!story) throw failure(`No session ${session} is in the history.`);
        return story;
      }),
    events: (filter, cursor) => serve(() => events(data.events, filter, cursor)),
    event: (session, seq) =>
      serve(() => {
        const row = data.events.find((one) => one.session === session && one.seq === seq);
        if (!row) throw failure(`No event ${seq} is in session ${session}.`);
        return { row, record: JSON.stringify({ v: 1, ...row }, null, 2) };
      }),
    hosts: (session) =>
      serve(() =>
        hostRows(data.hosts.filter((one) => session === null || one.session === session)),
      ),
    hostSessions: (place) => serve(() => data.hosts.filter((one) => one.place === place)),
    rules: () => serve(() => data.rules),
    explain: (key) =>
      serve(() => {
        const value = data.rules.values.find((one) => one.key === key);
        if (!value) throw failure(`There is no key ${key}.`);
        return value;
      }),
    report: (_, hosts) => serve(() => makeReport(data.rules, hosts)),
    saveReport: () => serve(() => '/home/ada/chaperone-policy.json'),
    why: (question) => serve(() => data.why(question)),
    grants: () => serve(() => data.grants),
    revoke: (grant) =>
      serve(() => {
        data.grants = data.grants.filter(({ id }) => id !== grant);
        queueMicrotask(() => tell('rules', null));
      }),
    credentials: () => serve(() => data.credentials),
    setCredential: (name, value) =>
      serve(() => {
        if (data.keychain) throw data.keychain;
        if (value.length < 8) {
          throw failure('The value has fewer than 8 characters, so it is not taken for a key.');
        }
        const { rows } = data.credentials;
        const known = rows.find((one) => one.name === name);
        const set = new Date().toISOString();
        if (known) Object.assign(known, { kept: true, set, used: null });
        else rows.push({ name, kept: true, set, used: null, bindings: [] });
        rows.sort((one, other) => (one.name < other.name ? -1 : 1));
        queueMicrotask(() => tell('rules', null));
      }),
    removeCredential: (name) =>
      serve(() => {
        if (data.keychain) throw data.keychain;
        const { credentials } = data;
        credentials.rows = credentials.rows
          .map((one) => (one.name === name ? { ...one, kept: false, set: null, used: null } : one))
          .filter((one) => one.kept || one.bindings.length > 0);
        queueMicrotask(() => tell('rules', null));
      }),
    startDemo: () =>
      serve(() => ({ session: null, message: 'The demo agent starts in a terminal of its own.' })),
    startSession: ({ command }) =>
      serve(() => ({ session: null, message: `${command} starts in a terminal of its own.` })),
    chooseFolder: () => serve(() => '/home/ada/work/api'),
    settings: () => serve(() => data.settings),
    setTheme: (theme) => serve(() => void (data.settings.theme = theme)),
    resumeAsking: () => serve(() => void (data.settings.asking_paused_until = null)),

    on(topic, callback) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set);
      set.add(callback as (payload: never) => void);
      return () => void set.delete(callback as (payload: never) => void);
    },
  };
}

function failure(message: string): Failure {
  return { message, remedy: null };
}

function remove(groups: RequestGroup[], id: string): void {
  for (const group of groups) {
    group.requests = group.requests.filter((request) => request.id !== id);
  }
  const kept = groups.filter((group) => group.requests.length > 0);
  groups.splice(0, groups.length, ...kept);
}

function events(all: EventRow[], filter: EventFilter, cursor: string | null): EventPage {
  const text = filter.text?.toLowerCase() ?? '';
  const rows = all.filter(
    (row) =>
      (filter.session === null || row.session === filter.session) &&
      (filter.kinds.length === 0 || filter.kinds.includes(row.kind)) &&
      (filter.decision === null || row.decision === filter.decision) &&
      (text === '' || `${row.what} ${row.reason} ${row.rule}`.toLowerCase().includes(text)),
  );
  const from = Number(cursor ?? 0);
  const next = from + PAGE < rows.length ? String(from + PAGE) : null;
  return { rows: rows.slice(from, from + PAGE), next, total: rows.length };
}
