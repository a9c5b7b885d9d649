// Every page in every state: what it says, what the keys do, and that axe finds nothing.
import { fireEvent, screen } from '@testing-library/svelte';
import axe from 'axe-core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PAGES } from '../src/lib/logic/place';
import { pass, settle, show } from './show';

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(document, 'hasFocus').mockReturnValue(true);
});
afterEach(() => {
  vi.useRealTimers();
});

const press = async (key: string) => {
  await fireEvent.keyDown(document.activeElement ?? document.body, { key });
  await settle();
};

describe.each(PAGES)('%s', (page) => {
  it.each(['fresh', 'busy', 'managed', 'long', 'broken'])('passes axe: %s', async (scenario) => {
    await show(scenario, page);
    await pass(200);
    vi.useRealTimers();
    const { violations } = await axe.run(document.body, {
      // Colours need a real browser; the screenshots check them.
      rules: { 'color-contrast': { enabled: false } },
    });
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
  });

  it('says what happened when the backend fails, and can copy it', async () => {
    await show('broken', page);
    expect(screen.getAllByTestId('problem')[0]?.textContent).toMatch(/permission denied/);
    expect(screen.getAllByLabelText('Copy the error').length).toBeGreaterThan(0);
  });

  it('shows the shape of what comes only after a tenth of a second', async () => {
    await show('slow', page);
    await pass(99);
    expect(screen.queryByTestId('loading')).toBeNull();
    await pass(1);
    expect(screen.getAllByTestId('loading').length).toBeGreaterThan(0);
    await pass(3_200); // a session, then its story
    expect(screen.queryByTestId('loading')).toBeNull();
  });
});

describe('the keys', () => {
  it('go to pages by number, and to the search by /', async () => {
    const { desk } = await show('busy', 'home');
    for (const [key, page] of [
      ['2', 'requests'],
      ['4', 'rules'],
      ['3', 'activity'],
      ['1', 'home'],
    ]) {
      await press(key!);
      expect(desk.place.page).toBe(page);
    }
    await press('3');
    await press('/');
    expect(document.activeElement).toBe(screen.getByTestId('search'));
    await press('1');
    expect(desk.place.page).toBe('activity');
    await press('Escape');
    await press('1');
    expect(desk.place.page).toBe('home');
  });

  it('open their own help', async () => {
    await show('busy', 'home');
    await press('?');
    expect(screen.getByTestId('help')).toBeTruthy();
    await fireEvent.click(screen.getByLabelText('Close (Escape)'));
    await settle();
    expect(screen.queryByTestId('help')).toBeNull();
  });

  it('move through rows with j and k, and close the panel with Escape', async () => {
    const { desk } = await show('busy', 'rules');
    await press('j');
    expect(desk.place.id).toBe('approvals.expires');
    await press('j');
    await press('k');
    await press('j');
    expect(desk.place.id).toBe('approvals.scopes');
    expect(screen.getByTestId('panel')).toBeTruthy();
    await press('Escape');
    expect(screen.queryByTestId('panel')).toBeNull();
  });
});

describe('home', () => {
  it('says how protected, who manages it, and what runs', async () => {
    await show('managed', 'home');
    expect(screen.getByTestId('protection').textContent?.trim()).toBe('Protected.');
    expect(screen.getByTestId('managed').textContent).toMatch(
      /Managed by Acme\s+· revision 42\s+· read 2 h ago/,
    );
    expect(screen.getAllByTestId('running-session')).toHaveLength(2);
  });

  it('offers the demo on a fresh machine, and only there', async () => {
    await show('fresh', 'home');
    await fireEvent.click(screen.getByTestId('start-demo'));
    await settle();
    expect(screen.getByTestId('started').textContent).toContain('demo agent starts');
  });

  it('does not offer the demo once something ran', async () => {
    await show('busy', 'home');
    expect(screen.queryByTestId('start-demo')).toBeNull();
  });

  it('starts an agent with the command and workspace that the form shows', async () => {
    const { backend } = await show('busy', 'home');
    const starts = vi.spyOn(backend, 'startSession');
    await fireEvent.click(screen.getByTestId('start-gemini'));
    await settle();
    expect(screen.getByTestId('start-command')).toHaveProperty('value', 'gemini');
    await fireEvent.submit(screen.getByTestId('start-command').closest('form')!);
    await settle();
    expect(starts).toHaveBeenCalledWith({ command: 'gemini', workspace: '/home/ada/work/api' });
  });
});

describe('activity', () => {
  it('tells a session, and opens the events beneath a line', async () => {
    await show('busy', 'activity', 's-7f3a91c2');
    expect(screen.getByTestId('story').textContent).toContain('Claude Code');
    expect(screen.getByTestId('story').textContent).toContain('(reported by the agent)');
    expect(screen.getAllByTestId('story-line').length).toBeGreaterThan(5);
    await fireEvent.click(screen.getByTestId('all-events'));
    await settle();
    expect(screen.getByTestId('filter-session').textContent).toContain('s-7f3a91c2');
    expect(screen.getAllByTestId('event-row').length).toBeGreaterThan(5);
  });

  it('searches everything, and says when nothing matches', async () => {
    await show('busy', 'activity');
    await fireEvent.input(screen.getByTestId('search'), { target: { value: 'paste.example' } });
    await pass(200);
    const rows = screen.getAllByTestId('event-row');
    expect(rows.every((row) => row.textContent?.includes('paste.example'))).toBe(true);
    await fireEvent.input(screen.getByTestId('search'), { target: { value: 'nowhere' } });
    await pass(200);
    expect(screen.getByTestId('empty').textContent).toContain('No event matches');
  });

  it('draws only what is visible of a hundred thousand events', async () => {
    await show('many', 'activity');
    await fireEvent.click(screen.getByTestId('view-events'));
    await settle();
    expect(screen.getByText('100 000 events')).toBeTruthy();
    expect(screen.getAllByTestId('event-row').length).toBeLessThan(60);
  });

  it('keeps what is open when events arrive', async () => {
    const { backend } = await show('busy', 'activity');
    await fireEvent.click(screen.getByTestId('view-events'));
    await settle();
    await fireEvent.click(screen.getAllByTestId('event-row')[2]!);
    await settle();
    const before = screen.getByTestId('panel').getAttribute('aria-label');
    const [first] = backend.recording.events;
    backend.recording.events = [{ ...first!, seq: 9_999 }, ...backend.recording.events];
    backend.tell('activity', null);
    await settle();
    expect(screen.getByTestId('panel').getAttribute('aria-label')).toBe(before);
    expect(screen.getByText('221 events')).toBeTruthy();
  });
});

describe('rules', () => {
  it('answers why, with the rule, who set it and what would change it', async () => {
    await show('busy', 'rules');
    const box = screen.getByTestId('why');
    await fireEvent.input(box, { target: { value: 'git push origin main' } });
    await fireEvent.submit(box.closest('form')!);
    await settle();
    const answer = screen.getByTestId('why-answer').textContent;
    expect(answer).toMatch(/It is asked about/);
    expect(answer).toMatch(/commands\.rule git push/);
    expect(answer).toMatch(/An allow rule for git push/);
  });

  it('shows who set a value, who was overruled and why, and that it is managed', async () => {
    await show('managed', 'rules', 'approvals.scopes');
    const detail = screen.getByTestId('value-detail').textContent;
    expect(detail).toContain('Your organisation manages this');
    expect(detail).toContain('A managed layer takes scopes away.');
    expect(detail).toContain('20-acme.toml:31');
  });

  it('revokes a grant', async () => {
    await show('busy', 'rules');
    await fireEvent.click(screen.getByTestId('revoke'));
    await settle();
    expect(screen.queryByTestId('grant')).toBeNull();
  });

  it('shows every layer with its status', async () => {
    await show('long', 'rules');
    await fireEvent.click(screen.getByTestId('view-layers'));
    await settle();
    const layers = screen.getAllByTestId('layer-row').map((row) => row.textContent);
    expect(layers.join()).toMatch(/Absent.*Present.*Invalid.*Line 7/s);
  });
});

describe('the theme', () => {
  it('goes from the system’s to light, to dark and back', async () => {
    const { desk } = await show('busy', 'home');
    const button = screen.getByTestId('theme');
    for (const theme of ['light', 'dark', 'system']) {
      await fireEvent.click(button);
      await settle();
      expect(desk.theme).toBe(theme);
    }
  });
});

describe('links from outside', () => {
  it('open the request that they name', async () => {
    const { backend, desk } = await show('busy', 'home');
    backend.tell('open', 'chaperone://requests/r-21f7');
    await settle();
    expect(desk.place).toEqual({ page: 'requests', id: 'r-21f7' });
    expect(screen.getByTestId('request-card').dataset['request']).toBe('r-21f7');
  });
});
