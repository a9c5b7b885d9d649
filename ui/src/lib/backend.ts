// What stands between the pages and the rest of Chaperone: one interface and its view models.
// Nothing here knows Tauri. `backend/tauri.ts` calls the app's commands, `backend/recorded.ts`
// serves recorded data, so that every page and state can be seen in a plain browser.
//
// Field names are those of the Rust structs; an absent value is `null`, never a missing field.
// What the policy itself says is taken from the generated types as it is.

import type { Finding, Managed, Origin, PolicyValue, Rules, Unreachable } from './bindings';

export type {
  Class,
  Finding,
  FindingStatus,
  KeyWords,
  LayerStatus,
  LayerSummary,
  Loser,
  Managed,
  Observes,
  Origin,
  Os,
  PolicyValue,
  Rules,
  Running,
  SourceKind,
  Unreachable,
  Value as Json,
  ValueStatus,
} from './bindings';

/** An instant: RFC 3339 in UTC, such as `2026-11-22T09:07:31.250Z`. */
export type Time = string;

/** The three answers, from the weakest to the strictest. */
export type Verdict = 'allow' | 'ask' | 'deny';

/** How an agent is held: by the kernel, through its own hooks only, or not at all. */
export type Governed = 'sandboxed' | 'cooperative' | 'not-governed';

/** What was decided, by which rule, from where and why. */
export interface Decision {
  decision: Verdict;
  rule: string | null;
  origin: Origin;
  /** Plain words that end with a full stop. */
  reason: string;
}

// ---------------------------------------------------------------- home

/** The first screen. */
export interface Home {
  protection: Protection;
  /** `null`: nobody manages this laptop. */
  managed: Managed | null;
  machine: Machine;
  agents: Agent[];
  /** Running ones only, newest first. */
  sessions: Session[];
  /** What happened since the window was last in front; `null` on the first start. */
  away: Away | null;
  /** Layers and keys that could not be taken as they were written. */
  findings: Finding[];
  /** Running sessions whose requests cannot be answered here. */
  unreachable: Unreachable[];
  /** Workspaces of earlier sessions, the latest first, at most ten. */
  recent_workspaces: string[];
  /** Of Chaperone. */
  version: string;
}

export interface Protection {
  level: 'protected' | 'partly' | 'not';
  /** One sentence: `Protected.`, `Partly protected: …`, `Not protected, because …`. */
  sentence: string;
  remedy: Remedy | null;
}

/** What a person can do about it: words, and a command to copy where one helps. */
export interface Remedy {
  text: string;
  command: string | null;
}

export interface Machine {
  tier: 'none' | 'reduced' | 'full';
  losses: Loss[];
}

/** Something that this machine's tier does not give. */
export interface Loss {
  id: string;
  detail: string;
  fix: string;
}

/** An agent that was found on this machine. */
export interface Agent {
  /** The agent file's name, such as `claude-code`. */
  name: string;
  /** For people, such as `Claude Code`. */
  title: string;
  version: string | null;
  path: string;
  /** How it is governed when it is started as people start it today. */
  governed: Governed;
  /** One sentence that says why. */
  detail: string;
  /** Starts it governed, such as `chaperone run -- claude`. */
  command_to_start: string;
}

/** One supervised run of an agent. */
export interface Session {
  id: string;
  /** The agent's title where an agent file knows it, else the program's name. */
  agent: string;
  workspace: string;
  branch: string | null;
  started: Time;
  /** `null` while it runs. */
  ended: Time | null;
  /** How it ended in words (`exit 0`, `signal 9`, `supervisor killed`); `null` while it runs. */
  exit: string | null;
  governed: Governed;
  tier: 'none' | 'reduced' | 'full';
  /** Requests that wait for an answer now. */
  waiting: number;
  /** Decisions so far. */
  counts: Counts;
}

export interface Counts {
  allowed: number;
  asked: number;
  denied: number;
}

export interface Away {
  since: Time;
  counts: Counts;
  /** The latest decisions that were not plain allows, newest first, at most five. */
  latest: EventRow[];
}

// ---------------------------------------------------------------- requests

export interface Requests {
  /** Sessions with a request that waits, by the oldest request; each group is oldest first. */
  groups: RequestGroup[];
  /** Answered, expired or withdrawn within the last minute, newest first. */
  answered: AnsweredRequest[];
}

export interface RequestGroup {
  session: Session;
  requests: RequestCard[];
}

/** What exactly is about to happen. */
export type Exact =
  | { kind: 'run'; argv: string[]; cwd: string; environment: [string, string][] }
  | { kind: 'connect'; host: string; port: number }
  | { kind: 'http'; method: string; target: string }
  | { kind: 'read'; path: string }
  | { kind: 'write'; path: string };

export type Scope = 'once' | 'command' | 'session' | 'workspace';

/** A fact that helps to answer: a word and the sentence behind it. */
export interface Fact {
  answer: 'yes' | 'no' | 'unknown';
  text: string;
}

/** One of the hosts that a request is about. */
export interface AskedHost {
  /** `host:port`; also its name in an answer. */
  name: string;
  /** What is known of it, in sentences. */
  known: string;
  /** Whether it is found chosen among several. */
  chosen: boolean;
  /** What was said of it; `null` while it waits. */
  verdict: 'allow' | 'deny' | null;
}

/** An ask that waits for an answer. */
export interface RequestCard {
  id: string;
  session: string;
  /** Plain words: what will happen if it is allowed. */
  sentence: string;
  exact: Exact;
  agent: string;
  workspace: string;
  branch: string | null;
  /** From the agent down to the program that is about to start. */
  chain: string[];
  /** What a shell string would start, a line each; `?` begins what cannot be told. */
  programs: string[];
  /** What the person had asked the agent for, as the agent reports it. */
  asked_for: string | null;
  facts: {
    undoable: Fact;
    leaves_laptop: Fact;
    /** `yes`: something is new compared with what was allowed before. */
    is_new: Fact;
  };
  rule: string | null;
  origin: Origin;
  reason: string;
  enforced: 'kernel' | 'cooperative';
  /** The scopes that an answer may have here. */
  scopes: Scope[];
  /** What an allow covers that reaches further than once; `null`: it differs from host to host. */
  session_scope: string[] | null;
  /** The hosts that connections are for; empty for everything else. */
  hosts: AskedHost[];
  /** The command that asks, where an answer may be for it alone. */
  asker: string | null;
  /** Who took a scope away, where one is missing. */
  scope_limit: Origin | null;
  /** Equal requests that this card stands for, itself included. */
  count: number;
  asked_at: Time;
  expires: Time;
  /** What happens at expiry. */
  at_expiry: 'allow' | 'deny';
  /** `false`: the agent has moved on, and an answer changes nothing any more. */
  waiting: boolean;
}

/** A request that waits no longer. */
export interface AnsweredRequest {
  request: RequestCard;
  outcome: 'allowed' | 'denied' | 'expired' | 'withdrawn';
  scope: Scope | null;
  /** `you`, `the terminal`, `nobody`. */
  by: string;
  note: string | null;
  at: Time;
}

export interface Answer {
  session: string;
  request: string;
  verdict: 'allow' | 'deny';
  scope: Scope;
  /** Of a request about hosts: those that it is for. */
  hosts: string[];
  /** Those that are denied beside those that are allowed. */
  denied: string[];
  /** Further hosts, until the command exits, as long as nothing speaks against them. */
  further: boolean;
  /** The agent reads it; only with `deny`. */
  note: string | null;
}

/** What is said of a request, whichever it is. */
export type Said = Omit<Answer, 'session' | 'request'>;

export type AnswerOutcome =
  | { outcome: 'accepted' }
  /** Somebody, or the clock, was first. */
  | { outcome: 'late'; by: string; verdict: 'allow' | 'deny' | 'withdrawn'; at: Time | null }
  | { outcome: 'refused'; reason: string };

// ---------------------------------------------------------------- activity

/** A page of a list that may be long: `next` fetches what follows, `null` at its end. */
export interface SessionPage {
  rows: Session[];
  next: string | null;
  total: number;
}

/** One session, told. */
export interface Story {
  session: Session;
  /** What the person asked the agent for, as the agent reports it. */
  asked_for: string | null;
  /** One or two sentences over all of it. */
  summary: string;
  /** In order of time; like ones next to each other are one line with a count. */
  lines: StoryLine[];
}

export interface StoryLine {
  /** The first event that it stands for. */
  seq: number;
  time: Time;
  about: 'began' | 'ran' | 'changed' | 'reached' | 'decided' | 'ended';
  /** Plain words. */
  sentence: string;
  /** What a machine reads: the command, path or host; `null` where the sentence says it all. */
  exact: string | null;
  decision: Verdict | null;
  by: string | null;
  count: number;
}

export type EventKind =
  | 'session-start'
  | 'session-end'
  | 'command'
  | 'connect'
  | 'http'
  | 'traffic'
  | 'read'
  | 'write'
  | 'sign'
  | 'credential'
  | 'request'
  | 'answer'
  | 'withdrawn'
  | 'stop'
  | 'continue'
  | 'left-over'
  | 'finding';

export interface EventRow {
  seq: number;
  time: Time;
  session: string;
  agent: string;
  workspace: string;
  kind: EventKind;
  /** The action as a machine has it (a command line, a host and port, a path), or words. */
  what: string;
  decision: Verdict | null;
  rule: string | null;
  origin: Origin | null;
  reason: string | null;
  by: string | null;
}

export interface EventDetail {
  row: EventRow;
  /** The record as it stands in the history, as indented JSON. */
  record: string;
}

export interface EventFilter {
  session: string | null;
  /** Empty: every kind. */
  kinds: EventKind[];
  decision: Verdict | null;
  /** Full text over everything in the record. */
  text: string | null;
}

/** Newest first. */
export interface EventPage {
  rows: EventRow[];
  next: string | null;
  total: number;
}

/** What was decided about a host, and what went there. */
export interface HostCounts {
  allowed: number;
  asked: number;
  denied: number;
  /** Bytes; `null` while the session runs, and where its supervisor was killed. */
  sent: number | null;
  received: number | null;
  first: Time;
  last: Time;
  /** The command lines that asked for it, as far as they are known: the first first, at most five. */
  commands: string[];
}

/** A host that sessions reached, asked for or were kept from. */
export interface HostRow extends HostCounts {
  /** As the history has it, `HOST:PORT`; `null` for hosts that were too many to be told apart. */
  place: string | null;
  host: string | null;
  port: number | null;
  /** In how many sessions. */
  sessions: number;
}

/** What one session had to do with a host. */
export interface HostSession extends HostCounts {
  session: string;
  agent: string;
  workspace: string;
}

// ---------------------------------------------------------------- rules

export interface Question {
  about: 'command' | 'host' | 'read' | 'write';
  /** A command line, `HOST[:PORT]`, or a path. */
  text: string;
  /** Whose workspace file counts; `null`: none. */
  workspace: string | null;
}

export interface Why {
  /** How the question was understood, such as `run git push origin main`. */
  understood: string;
  decision: Decision;
  /** What would change the decision, in words. */
  change: string;
}

/** An approval that outlives its request. */
export interface Grant {
  id: string;
  /** Plain words. */
  sentence: string;
  /** What it covers. */
  prefix: string[];
  scope: Scope;
  /** The command with which it ends. */
  command: string | null;
  /** Where it holds. */
  workspace: string;
  by: string;
  given: Time;
  uses: number;
  last_used: Time | null;
  /** `null`: until its command exits, or its session ends. */
  expires: Time | null;
  /** In which it was given. */
  session: string;
}

// ---------------------------------------------------------------- keys

/** What is kept, and what a policy does with it. No value is anywhere in it. */
export interface Credentials {
  /** By name: those that were set here, and those that a policy binds and nobody has set. */
  rows: CredentialRow[];
  /** What is bound and does not hold, because another layer stands above it. */
  lost: LostBinding[];
  /** Who says that only managed bindings count. */
  closed: Origin | null;
  /** Why no session uses any now, where that is so. */
  unused: { reason: string; origin: Origin } | null;
}

export interface CredentialRow {
  name: string;
  /** `false`: a policy binds it, and nobody has set it. */
  kept: boolean;
  set: Time | null;
  /** The last use of this value; `null`: never. */
  used: LastUse | null;
  /** Where it may go; none: nowhere. */
  bindings: CredentialBinding[];
}

export interface LastUse {
  /** When that session used it first. */
  time: Time;
  /** `null` where the history does not tell. */
  session: string | null;
  agent: string | null;
  workspace: string | null;
  /** `HOST:PORT`. */
  host: string | null;
}

/** One entry of `[[credentials.inject]]`. */
export interface CredentialBinding {
  /** As the policy writes it. */
  host: string;
  /** Where in a request: `x-api-key: {}`, `?key={}`. */
  places: string[];
  /** The variable in which the agent finds its stand-in. */
  env: string | null;
  /** Empty: every method. */
  methods: string[];
  /** Empty: every path. */
  paths: string[];
  /** In which sessions it holds, such as `agent = codex`; `null`: in all. */
  when: string | null;
  origin: Origin;
  managed: boolean;
  /** What becomes of requests to its host that no list lets pass, and what to do; `null`: they pass. */
  unlisted: Unlisted | null;
}

export interface Unlisted {
  /** A sentence. */
  what: string;
  remedy: string;
}

export interface LostBinding {
  name: string;
  host: string;
  origin: Origin;
  /** Without a full stop. */
  reason: string;
}

// ---------------------------------------------------------------- starting and settings

export interface Start {
  /** As typed, such as `claude` or `codex --model x`. */
  command: string;
  workspace: string;
}

/** What became of starting a session. */
export interface Started {
  /** `null` where it begins in a terminal that has yet to open. */
  session: string | null;
  /** One sentence: where to look. */
  message: string;
}

export type Theme = 'system' | 'light' | 'dark';

export interface Settings {
  theme: Theme;
  /** No notifications until then; requests still wait in the window. */
  asking_paused_until: Time | null;
}

// ---------------------------------------------------------------- the interface

/** What every call rejects with. */
export interface Failure {
  /** What happened and where, in one or two sentences. */
  message: string;
  /** What to do. */
  remedy: string | null;
}

/** What the backend tells without being asked. */
export interface Topics {
  /** Ask for `requests()` again. */
  requests: null;
  /** Events were written: ask for the first page of `events()` again. */
  activity: null;
  /** A session began, ended or changed: ask for `home()` or `sessions()` again. */
  sessions: null;
  /** Layers, grants or credentials changed: ask for `rules()`, `grants()`, `credentials()` again. */
  rules: null;
  /** Go there: `chaperone://requests/ID`, `chaperone://activity/SESSION`, `chaperone://home`. */
  open: string;
}

export interface Backend {
  home(): Promise<Home>;
  /** Who manages this laptop; `null`: nobody. */
  managed(): Promise<Managed | null>;

  requests(): Promise<Requests>;
  answer(answer: Answer): Promise<AnswerOutcome>;

  sessions(cursor: string | null): Promise<SessionPage>;
  story(session: string): Promise<Story>;
  events(filter: EventFilter, cursor: string | null): Promise<EventPage>;
  event(session: string, seq: number): Promise<EventDetail>;
  /** Of one session, or of all. Busiest first. */
  hosts(session: string | null): Promise<HostRow[]>;
  /** What each session had to do with the host of this place, the latest session first. */
  hostSessions(place: string | null): Promise<HostSession[]>;

  /** With the workspace's own file, or without. */
  rules(workspace: string | null): Promise<Rules>;
  explain(key: string, workspace: string | null): Promise<PolicyValue>;
  /** The policy for a support ticket, names replaced; `hosts` leaves those of hosts. */
  report(workspace: string | null, hosts: boolean): Promise<string>;
  /** The same into a file of the person's choice: its path, `null` when it was cancelled. */
  saveReport(workspace: string | null, hosts: boolean): Promise<string | null>;
  why(question: Question): Promise<Why>;
  grants(): Promise<Grant[]>;
  revoke(grant: string): Promise<void>;

  credentials(): Promise<Credentials>;
  /** Keeps a value in the keychain, in place of the one before. Nothing gives it back. */
  setCredential(name: string, value: string): Promise<void>;
  removeCredential(name: string): Promise<void>;

  startDemo(): Promise<Started>;
  startSession(start: Start): Promise<Started>;
  /** The system's own dialog; `null` when it was cancelled. */
  chooseFolder(): Promise<string | null>;

  settings(): Promise<Settings>;
  setTheme(theme: Theme): Promise<void>;
  resumeAsking(): Promise<void>;

  /** Calls back until the returned function is called. */
  on<T extends keyof Topics>(topic: T, callback: (payload: Topics[T]) => void): () => void;
}
