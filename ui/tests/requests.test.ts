// The request card and its rules against accidents, in the whole window.
import { fireEvent, screen, within } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Answer } from '../src/lib/backend';
import { type Shown, pass, settle, show } from './show';

const QUIET = 600;

function watchAnswers({ backend }: Shown): Answer[] {
  const given: Answer[] = [];
  const answer = backend.answer.bind(backend);
  backend.answer = (one) => {
    given.push(one);
    return answer(one);
  };
  return given;
}

async function press(id: string): Promise<void> {
  const button = screen.getByTestId(id);
  await fireEvent.pointerDown(button);
  await fireEvent.pointerUp(button);
  await fireEvent.click(button);
  await settle();
}

async function key(name: string, more: KeyboardEventInit = {}): Promise<void> {
  const target = document.activeElement ?? document.body;
  await fireEvent.keyDown(target, { key: name, ...more });
  await settle();
}

/** What an answer says that is about no hosts. */
const NO_HOSTS = { hosts: [], denied: [], further: false };

const shownRequest = () => screen.getByTestId('request-card').dataset['request'];

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(document, 'hasFocus').mockReturnValue(true);
});
afterEach(() => {
  vi.useRealTimers();
});

describe('answering', () => {
  it('allows once by click, and shows the next request', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    expect(shownRequest()).toBe('r-4d1e');
    await pass(QUIET);
    await press('allow-once');
    expect(given).toEqual([
      {
        session: 's-7f3a91c2',
        request: 'r-4d1e',
        verdict: 'allow',
        scope: 'once',
        note: null,
        ...NO_HOSTS,
      },
    ]);
    expect(shownRequest()).toBe('r-8c02');
  });

  it('allows for the session, naming what that covers', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    expect(screen.getByTestId('allow-session').getAttribute('aria-label')).toBe(
      'Allow git push origin … for this session',
    );
    await press('allow-session');
    expect(given[0]).toMatchObject({ verdict: 'allow', scope: 'session' });
  });

  it.each([
    ['Ctrl+Enter', 'Enter', { ctrlKey: true }, { verdict: 'allow', scope: 'once' }],
    ['Cmd+Enter', 'Enter', { metaKey: true }, { verdict: 'allow', scope: 'once' }],
    ['D', 'd', {}, { verdict: 'deny', scope: 'once', note: null }],
  ])('by keyboard with %s', async (_, name, more, answer) => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key(name, more);
    expect(given).toHaveLength(1);
    expect(given[0]).toMatchObject(answer);
  });

  it('never by Enter alone, or by D with a modifier', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key('Enter');
    await key('d', { ctrlKey: true });
    await key('d', { altKey: true });
    expect(given).toEqual([]);
  });

  it('denies with a note: N opens it, letters are its own, Enter sends', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key('n');
    const field = screen.getByTestId('request-note');
    expect(document.activeElement).toBe(field);
    await key('d');
    await key('1');
    await key('Enter', { ctrlKey: true });
    expect(given).toEqual([]);
    expect(screen.getByTestId('requests')).toBeTruthy();
    await fireEvent.input(field, { target: { value: ' open a pull request instead ' } });
    await key('Enter');
    expect(given).toEqual([
      {
        session: 's-7f3a91c2',
        request: 'r-4d1e',
        verdict: 'deny',
        scope: 'once',
        note: 'open a pull request instead',
        ...NO_HOSTS,
      },
    ]);
  });

  it('closes the note with Escape, answers nothing, and keeps the keyboard on the card', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key('n');
    await key('Escape');
    expect(screen.queryByTestId('request-note')).toBeNull();
    expect(document.activeElement).toBe(screen.getByTestId('request-card'));
    expect(given).toEqual([]);
  });

  it('says that it came too late, and by whom it was answered', async () => {
    await show('late', 'requests');
    await pass(QUIET);
    await press('allow-once');
    const notice = screen.getByTestId('request-notice').textContent;
    expect(notice).toMatch(/Too late: .* was already denied by the terminal/);
    expect(screen.getByTestId('request-outcome').textContent).toContain('Denied');
  });

  it('says why it was refused, and the request still waits', async () => {
    await show('refused', 'requests');
    await pass(QUIET);
    await press('allow-once');
    expect(screen.getByTestId('request-notice').textContent).toContain('does not accept answers');
    expect(screen.getByTestId('allow-once')).toBeTruthy();
  });
});

describe('accidents', () => {
  it('a click within 600 ms of a card’s appearance answers nothing and says so', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET - 1);
    expect(screen.getByTestId('request-card').dataset['ready']).toBe('false');
    await press('allow-once');
    expect(given).toEqual([]);
    expect(screen.getByTestId('request-status').textContent).toContain('Nothing was answered');
    await pass(1);
    expect(screen.getByTestId('request-card').dataset['ready']).toBe('true');
    await press('allow-once');
    expect(given).toHaveLength(1);
  });

  it.each([
    ['d', {}],
    ['Enter', { ctrlKey: true }],
  ])('nor does the key %s', async (name, more) => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET - 1);
    await key(name, more);
    expect(given).toEqual([]);
  });

  it('a double click does not answer the request that comes next', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await press('allow-once');
    await press('allow-once');
    expect(given.map(({ request }) => request)).toEqual(['r-4d1e']);
  });

  it('a key that is held down answers nothing', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key('d', { repeat: true });
    expect(given).toEqual([]);
  });

  it('a card that changes under the pointer is not answered', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    const button = screen.getByTestId('allow-once');
    await fireEvent.pointerDown(button);
    const request = shown.backend.recording.groups[0]?.requests[0];
    if (request?.exact.kind === 'run') request.exact.argv.push('--force');
    shown.backend.tell('requests', null);
    await settle();
    await fireEvent.click(button);
    await pass(QUIET);
    expect(given).toEqual([]);
    await press('allow-once');
    expect(given).toHaveLength(1);
  });

  it('another equal request changes the count, not the card', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    const request = shown.backend.recording.groups[0]?.requests[0];
    if (request) request.count = 2;
    shown.backend.tell('requests', null);
    await settle();
    expect(screen.getByTestId('request-count').textContent).toContain('Asked 2 times');
    await press('allow-once');
    expect(given).toHaveLength(1);
  });

  it('the click that activates the window answers nothing', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await fireEvent.blur(window);
    await pass(60_000);
    const button = screen.getByTestId('allow-once');
    await fireEvent.pointerDown(button);
    await fireEvent.focus(window);
    await pass(QUIET + 1);
    await fireEvent.click(button);
    await settle();
    expect(given).toEqual([]);
    await press('allow-once');
    expect(given).toHaveLength(1);
  });

  it('nothing has the keyboard as a choice to allow, at first or after an answer', async () => {
    await show('busy', 'requests');
    await pass(QUIET);
    expect(document.activeElement).toBe(document.body);
    screen.getByTestId('allow-once').focus();
    await press('allow-once');
    expect(shownRequest()).toBe('r-8c02');
    expect(document.activeElement).toBe(screen.getByTestId('request-card'));
  });
});

describe('live data', () => {
  it('never replaces a card that waits, and keeps the keyboard where it is', async () => {
    const { backend } = await show('busy', 'requests');
    await fireEvent.click(screen.getAllByTestId('request-row')[1]!);
    await settle();
    expect(shownRequest()).toBe('r-8c02');
    screen.getByTestId('deny').focus();
    const copy = structuredClone(backend.recording.groups[0]!.requests[0]!);
    backend.ask({ ...copy, id: 'r-new' });
    backend.settle('r-4d1e', 'expired', 'nobody');
    await settle();
    expect(shownRequest()).toBe('r-8c02');
    expect(document.activeElement).toBe(screen.getByTestId('deny'));
    expect(screen.getByText(/Claude Code asks: Publish 3 commits/)).toBeTruthy();
  });

  it('keeps a request that was answered elsewhere in place, with its outcome', async () => {
    const { backend } = await show('busy', 'requests');
    backend.settle('r-4d1e', 'expired', 'nobody');
    await settle();
    expect(shownRequest()).toBe('r-4d1e');
    expect(screen.getByTestId('request-outcome').textContent).toContain('Expired, so denied');
    expect(screen.queryByTestId('allow-once')).toBeNull();
  });

  it('replaces no card while a note is written, so that typing answers nothing', async () => {
    const shown = await show('busy', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await key('n');
    for (const id of ['r-4d1e', 'r-8c02', 'r-21f7']) shown.backend.settle(id, 'expired', 'nobody');
    await settle();
    const request = structuredClone(shown.backend.recording.answered[0]!.request);
    shown.backend.ask({ ...request, id: 'r-new' });
    await pass(QUIET);
    expect(document.activeElement).toBe(screen.getByTestId('request-note'));
    await key('d');
    await key('Enter');
    expect(given).toEqual([]);
    await key('Escape');
    expect(shownRequest()).toBe('r-4d1e');
    await fireEvent.click(screen.getByTestId('request-row'));
    await settle();
    expect(shownRequest()).toBe('r-new');
  });

  it('shows a request that arrives when nothing waited', async () => {
    const { backend } = await show('busy', 'requests');
    const request = structuredClone(backend.recording.groups[0]!.requests[0]!);
    for (const id of ['r-4d1e', 'r-8c02', 'r-21f7']) backend.settle(id, 'withdrawn', 'the agent');
    await settle();
    backend.ask({ ...request, id: 'r-new' });
    await settle();
    expect(shownRequest()).toBe('r-new');
  });

  it('counts what waits in the rail', async () => {
    const { backend } = await show('busy', 'home');
    expect(screen.getByTestId('badge').textContent).toContain('3');
    backend.settle('r-4d1e', 'denied', 'the terminal');
    await settle();
    expect(screen.getByTestId('badge').textContent).toContain('2');
  });
});

describe('a card', () => {
  it('shows every field', async () => {
    await show('busy', 'requests');
    const card = within(screen.getByTestId('request-card'));
    for (const words of [
      'Publish 3 commits to github.com/acme/api, branch main',
      'git push origin main',
      'Not easily undone',
      'Leaves the laptop',
      'New here',
      'Publishes work.',
      'commands.rule git push',
      'Chaperone’s defaults',
      'By the kernel: it cannot go ahead without an allow.',
      '(reported by the agent)',
    ]) {
      expect(card.getAllByText(words, { exact: false }).length, words).toBeGreaterThan(0);
    }
    expect(screen.getByTestId('request-status').textContent).toMatch(
      /9 min 2\d s left; with no answer by \d\d:\d\d:\d\d it is\s+denied/,
    );
  });

  it('shows the whole command, with what would mislead by name', async () => {
    await show('long', 'requests');
    const exact = screen.getByTestId('request-exact').textContent ?? '';
    for (const part of ['RLO', 'PDF', 'ZWSP', 'ESC', 'CR', 'а U+0430', 'x'.repeat(1_200)]) {
      expect(exact, part).toContain(part);
    }
    for (const hidden of ['\u202e', '\u202c', '\u200b', '\u001b', '\r']) {
      expect(exact).not.toContain(hidden);
    }
    expect(screen.getByText(/characters that would be invisible or misleading/)).toBeTruthy();
    expect(screen.getByText('Asked 128 times; one answer serves all of them.')).toBeTruthy();
    expect(screen.getByText(/Cooperative/)).toBeTruthy();
  });

  it('lets no character from an agent reorder the window', async () => {
    await show('long', 'requests');
    expect(document.body.textContent).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    for (const element of document.querySelectorAll('[title], [aria-label]')) {
      const words = `${element.getAttribute('title')} ${element.getAttribute('aria-label')}`;
      expect(words).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    }
  });

  it('says when the agent has moved on, and offers no answer', async () => {
    await show('long', 'requests', 'r-0ff0');
    expect(screen.getByTestId('request-moved-on').textContent).toContain('has moved on');
    expect(screen.queryByTestId('allow-once')).toBeNull();
    expect(screen.queryByTestId('deny')).toBeNull();
  });

  it('offers only the scopes that are left, and says who took the other', async () => {
    const shown = await show('managed', 'requests');
    const given = watchAnswers(shown);
    expect(screen.queryByTestId('allow-session')).toBeNull();
    expect(screen.getByTestId('allow-once')).toBeTruthy();
    const managed = screen.getByTestId('allow-session-managed');
    expect(managed.getAttribute('aria-disabled')).toBe('true');
    const told = document.getElementById(managed.getAttribute('aria-describedby') ?? '');
    expect(told?.textContent).toBe('Managed by Acme');
    await pass(QUIET);
    await press('allow-session-managed');
    expect(given).toEqual([]);
  });
});

describe('the hosts of one command', () => {
  const box = (name: RegExp) => screen.getByRole('checkbox', { name });

  it('are chosen but for the one that something speaks against', async () => {
    const shown = await show('install', 'requests');
    const given = watchAnswers(shown);
    expect(screen.getAllByTestId('host')).toHaveLength(4);
    expect(screen.getByTestId('hosts-chosen').textContent).toContain('3 of 4 chosen');
    expect((box(/x7\.duckdns\.org/) as HTMLInputElement).checked).toBe(false);
    await fireEvent.click(box(/cdn\.fonts/));
    await settle();
    await pass(QUIET);
    await press('allow-session');
    expect(given).toMatchObject([
      {
        verdict: 'allow',
        scope: 'session',
        hosts: ['binaries.esbuild.example:443', 'files.acme.example:443'],
        denied: ['cdn.fonts.example:443', 'x7.duckdns.org:443'],
        further: false,
      },
    ]);
  });

  it('may be followed by further ones, which only the command itself gets', async () => {
    const shown = await show('install', 'requests');
    const given = watchAnswers(shown);
    expect(screen.getByTestId('allow-command').getAttribute('aria-label')).toBe(
      'Allow 3 chosen hosts until npm install exits',
    );
    await fireEvent.click(screen.getByTestId('further'));
    await settle();
    await pass(QUIET);
    expect(screen.getByTestId('allow-command').textContent).toContain('and further hosts');
    for (const other of ['allow-once', 'allow-session', 'allow-workspace']) {
      expect(screen.getByTestId(other).getAttribute('aria-disabled')).toBe('true');
      await press(other);
    }
    await key('Enter', { ctrlKey: true });
    expect(given).toEqual([]);
    await press('allow-command');
    expect(given).toMatchObject([{ scope: 'command', further: true }]);
    expect(given[0]?.hosts).toHaveLength(3);
  });

  it('are all denied by one denial, and none is allowed when none is chosen', async () => {
    const shown = await show('install', 'requests');
    const given = watchAnswers(shown);
    await pass(QUIET);
    await fireEvent.click(screen.getByText('None'));
    await settle();
    await press('allow-once');
    await key('Enter', { ctrlKey: true });
    expect(given).toEqual([]);
    await key('d');
    expect(given).toMatchObject([{ verdict: 'deny', hosts: [] }]);
    expect(given[0]?.denied).toHaveLength(4);
  });

  it('arm the card anew when one more comes, and keep what was ticked', async () => {
    const shown = await show('install', 'requests');
    const given = watchAnswers(shown);
    await fireEvent.click(box(/cdn\.fonts/));
    await pass(QUIET);
    const request = shown.backend.recording.groups[0]?.requests[0];
    request?.hosts.push({
      name: 'late.example:443',
      known: 'It is new.',
      chosen: true,
      verdict: null,
    });
    shown.backend.tell('requests', null);
    await settle();
    await press('allow-once');
    expect(given).toEqual([]);
    expect((box(/cdn\.fonts/) as HTMLInputElement).checked).toBe(false);
    await pass(QUIET);
    await press('allow-once');
    expect(given[0]?.hosts).toContain('late.example:443');
    expect(given[0]?.denied).toContain('cdn.fonts.example:443');
  });
});
