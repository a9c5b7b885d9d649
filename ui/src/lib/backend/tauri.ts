// The backend inside the app: each call is one command of `src-tauri`, each topic one event.
// The bindings are generated from the Rust types, so that the two cannot drift apart; nothing
// else in the UI imports them, or Tauri.

import type { Backend, Topics } from '../backend';
import { commands, events } from '../bindings';

export function tauriBackend(): Backend {
  return {
    home: commands.home,
    managed: commands.managed,
    requests: commands.requests,
    answer: commands.answer,
    sessions: commands.sessions,
    story: commands.story,
    events: commands.events,
    event: commands.event,
    hosts: commands.hosts,
    hostSessions: commands.hostSessions,
    rules: commands.rules,
    explain: commands.explain,
    report: commands.report,
    saveReport: commands.saveReport,
    why: commands.why,
    grants: commands.grants,
    revoke: async (grant) => void (await commands.revoke(grant)),
    credentials: commands.credentials,
    setCredential: async (name, value) => void (await commands.setCredential(name, value)),
    removeCredential: async (name) => void (await commands.removeCredential(name)),
    startDemo: commands.startDemo,
    startSession: commands.startSession,
    chooseFolder: commands.chooseFolder,
    settings: commands.settings,
    setTheme: async (theme) => void (await commands.setTheme(theme)),
    resumeAsking: async () => void (await commands.resumeAsking()),

    on<T extends keyof Topics>(topic: T, callback: (payload: Topics[T]) => void) {
      // Unlistening before the listener is there waits for it.
      const listening = events[topic].listen((event) => callback(event.payload as Topics[T]));
      return () => void listening.then((unlisten) => unlisten());
    },
  };
}
