// The backend inside the app: each call is one command of `src-tauri`, each topic one event.
// The only file that imports Tauri.

import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import type { Backend, Topics } from '../backend';

export function tauriBackend(): Backend {
  return {
    home: () => invoke('home'),
    requests: () => invoke('requests'),
    answer: (answer) => invoke('answer', { answer }),
    sessions: (cursor) => invoke('sessions', { cursor }),
    story: (session) => invoke('story', { session }),
    events: (filter, cursor) => invoke('events', { filter, cursor }),
    event: (session, seq) => invoke('event', { session, seq }),
    hosts: (session) => invoke('hosts', { session }),
    rules: (workspace) => invoke('rules', { workspace }),
    explain: (key, workspace) => invoke('explain', { key, workspace }),
    why: (question) => invoke('why', { question }),
    grants: () => invoke('grants'),
    revoke: (grant) => invoke('revoke', { grant }),
    startDemo: () => invoke('start_demo'),
    startSession: (start) => invoke('start_session', { start }),
    chooseFolder: () => invoke('choose_folder'),
    settings: () => invoke('settings'),
    setTheme: (theme) => invoke('set_theme', { theme }),
    resumeAsking: () => invoke('resume_asking'),

    on<T extends keyof Topics>(topic: T, callback: (payload: Topics[T]) => void) {
      // Unlistening before the listener is there waits for it.
      const listening = listen<Topics[T]>(topic, (event) => callback(event.payload));
      return () => void listening.then((unlisten) => unlisten());
    },
  };
}
