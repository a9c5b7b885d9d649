// Every page in every state: what it says, what the keys do, and that axe finds nothing.
import { cleanup, fireEvent, screen } from '@testing-library/svelte';
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

const SEEN = ['fresh', 'busy', 'managed', 'macos', 'windows', 'observe', 'long', 'broken'];

const press = async (key: string) => {
  await fireEvent.keyDown(document.activeElement ?? document.body, { key });
  await settle();
};

describe.each(PAGES)('%s', (page) => {
  it.each(SEEN)('passes axe: %s', async (scenario) => {
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
      ['5', 'keys'],
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
    expect(desk.place.id).toBe('mode');
    await press('j');
    await press('k');
    await press('j');
    expect(desk.place.id).toBe('sandbox.minimum_tier');
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

describe('hosts', () => {
  const hosts = async (scenario: string) => {
    const shown = await show(scenario, 'activity');
    await fireEvent.click(screen.getByTestId('view-hosts'));
    await settle();
    return shown;
  };
  const row = (host: string) =>
    screen.getAllByTestId('host-row').find((one) => one.textContent?.includes(host))!;

  it('are told with decisions, bytes, and the command that asked', async () => {
    await hosts('busy');
    expect(row('crates.acme.example').textContent).toMatch(
      /cargo test.*61\s*allowed.*88 KiB\s*sent.*393 MiB\s*received/s,
    );
    expect(row('paste.example').textContent).toMatch(/3\s*denied/);
    expect(row('api.weather.example').textContent).toMatch(/1\s*asked.*·\s*sent/s);
    expect(row('2001:db8::17').textContent).toContain('[2001:db8::17]:8443');
    expect(row('Other hosts')).toBeTruthy();
    expect(screen.getByTestId('unseen').textContent).toContain('passes nobody here');
  });

  it('open session by session, and lead to a session’s story and to the events', async () => {
    const { desk } = await hosts('busy');
    await fireEvent.click(row('paste.example'));
    await settle();
    const detail = screen.getByTestId('host-detail').textContent ?? '';
    expect(screen.getAllByTestId('host-command')).toHaveLength(2);
    const sessions = screen.getAllByTestId('host-session');
    expect(sessions.map((one) => one.textContent)).toEqual([
      expect.stringContaining('2 denied'),
      expect.stringContaining('1 denied'),
    ]);
    expect(detail).toMatch(/Sent\s+nothing/);
    await press('k');
    expect(screen.getByTestId('panel').getAttribute('aria-label')).not.toBe('paste.example:443');
    await press('j');
    await fireEvent.click(screen.getByTestId('host-events'));
    await settle();
    const rows = screen.getAllByTestId('event-row');
    expect(rows.every((one) => one.textContent?.includes('paste.example'))).toBe(true);
    await fireEvent.click(screen.getByTestId('view-hosts'));
    await settle();
    await fireEvent.click(row('paste.example'));
    await settle();
    await fireEvent.click(screen.getAllByTestId('host-session')[1]!.querySelector('a')!);
    await settle();
    expect(desk.place.id).toBe('s-0badcafe');
    expect(screen.getByTestId('story').textContent).toContain('Gemini CLI');
  });

  it('are those of one session, from its story', async () => {
    await show('busy', 'activity', 's-1b20d4e8');
    await fireEvent.click(screen.getByTestId('session-hosts'));
    await settle();
    expect(screen.getAllByTestId('host-row')).toHaveLength(2);
    expect(screen.getByTestId('filter-session').textContent).toContain('s-1b20d4e8');
    await fireEvent.click(screen.getByTestId('filter-session'));
    await settle();
    expect(screen.getAllByTestId('host-row').length).toBeGreaterThan(5);
  });

  it('are drawn only as far as they are visible', async () => {
    await hosts('many');
    expect(screen.getByText(/^5\s000 hosts/)).toBeTruthy();
    expect(screen.getAllByTestId('host-row').length).toBeLessThan(60);
  });

  it('say that there are none yet', async () => {
    await hosts('fresh');
    expect(screen.getByTestId('empty').textContent).toContain('No host yet');
  });
});

describe('keys', () => {
  const VALUE = 'sk-ant-QWxhZGRpbjpvcGVu';
  const rows = () => screen.getAllByTestId('credential-row').map((one) => one.textContent ?? '');
  const value = () => screen.getByTestId('credential-value') as HTMLInputElement;
  const keep = async (text: string) => {
    await fireEvent.input(value(), { target: { value: text } });
    await fireEvent.submit(screen.getByTestId('credential-form'));
    await settle();
  };

  it('are told by name: where each may go, what is missing, and who used it last', async () => {
    await show('busy', 'keys');
    expect(rows()).toEqual([
      expect.stringMatching(/anthropic\s+Kept\s+api\.anthropic\.com\s+23 min ago, Claude Code/),
      expect.stringMatching(/github\s+Kept\s+api\.github\.com\s+5 h ago/),
      expect.stringMatching(/npm-publish\s+Not bound\s+nowhere yet\s+never/),
      expect.stringMatching(/openai\s+Missing\s+api\.openai\.com/),
      expect.stringMatching(/sentry\s+Not listed\s+sentry\.example/),
    ]);
  });

  it('open on the right with what binds them, and who manages it', async () => {
    await show('managed', 'keys', 'github');
    const detail = screen.getByTestId('credential-detail').textContent ?? '';
    expect(detail).toMatch(/authorization: Bearer \{\}/);
    expect(detail).toMatch(/Only GET beneath \/repos\/acme/);
    expect(detail).toContain('$GITHUB_TOKEN');
    expect(screen.getByTestId('binding-managed').textContent).toContain('Managed by Acme');
    expect(screen.getByTestId('closed').textContent).toMatch(/Managed by Acme.*Only its bindings/s);
    expect(screen.getByTestId('lost-binding').textContent).toMatch(/gitlab\.example.*binds the/s);
  });

  it('say of a host that no list has what becomes of requests to it, and what to do', async () => {
    await show('busy', 'keys', 'sentry');
    expect(screen.getByTestId('unlisted').textContent).toMatch(
      /are asked about: it is not in network\.allow\.\s+Add .*network\.allow = \["sentry\.example"\]/,
    );
    cleanup();
    await show('busy', 'keys', 'anthropic');
    expect(screen.getByTestId('binding')).toBeTruthy();
    expect(screen.queryByTestId('unlisted')).toBeNull();
  });

  it('take a value once, and forget it', async () => {
    const { backend, desk } = await show('fresh', 'keys');
    const set = vi.spyOn(backend, 'setCredential');
    expect(screen.getByTestId('empty').textContent).toContain('never holds it');
    await press('a');
    await fireEvent.input(screen.getByTestId('credential-name'), { target: { value: 'acme' } });
    await keep(VALUE);
    expect(set.mock.calls).toEqual([['acme', VALUE]]);
    expect(screen.queryByTestId('credential-value')).toBeNull();
    expect(desk.place.id).toBe('acme');
    expect(rows()[0]).toMatch(/acme\s+Not bound/);
    expect(screen.getByTestId('credential-detail').textContent).toContain('secret = "acme"');
    expect(document.documentElement.outerHTML).not.toContain(VALUE);
    expect(JSON.stringify(backend.recording)).not.toContain(VALUE);
  });

  it('empty the field before the answer comes, whatever it is', async () => {
    const { backend } = await show('keyless', 'keys');
    await fireEvent.click(screen.getByTestId('add-credential'));
    await settle();
    await fireEvent.input(screen.getByTestId('credential-name'), { target: { value: 'acme' } });
    const set = vi.spyOn(backend, 'setCredential').mockImplementation(async () => {
      expect(value().value).toBe('');
      throw { message: 'This machine’s keychain cannot be reached: no bus.', remedy: 'Start one.' };
    });
    await keep(VALUE);
    expect(set).toHaveBeenCalledOnce();
    expect(screen.getByTestId('problem').textContent).toMatch(/cannot be reached.*Start one/s);
    expect(value().value).toBe('');
    expect(document.activeElement).toBe(value());
    await fireEvent.submit(screen.getByTestId('credential-form'));
    expect(set, 'nothing is sent of an empty field').toHaveBeenCalledOnce();
  });

  it('are added where one is missing, under the name that is bound', async () => {
    const { backend } = await show('busy', 'keys', 'openai');
    const set = vi.spyOn(backend, 'setCredential');
    await fireEvent.click(screen.getByTestId('add-missing'));
    await settle();
    expect(screen.queryByTestId('credential-name')).toBeNull();
    expect(screen.getByTestId('credential-form').textContent).toContain('api.openai.com');
    await keep(VALUE);
    expect(set).toHaveBeenCalledWith('openai', VALUE);
    expect(rows()[3]).toMatch(/openai\s+Kept/);
  });

  it('are removed only after what stops working was named', async () => {
    const { backend, desk } = await show('busy', 'keys', 'github');
    const removed = vi.spyOn(backend, 'removeCredential');
    await fireEvent.click(screen.getByTestId('remove-credential'));
    await settle();
    const question = screen.getByTestId('remove-question');
    expect(document.activeElement).toBe(question);
    expect(question.textContent).toMatch(/GET beneath \/repos\/acme\s+to\s+api\.github\.com/);
    await fireEvent.click(screen.getByTestId('remove-cancelled'));
    await settle();
    expect(removed).not.toHaveBeenCalled();
    await fireEvent.click(screen.getByTestId('remove-credential'));
    await settle();
    await fireEvent.click(screen.getByTestId('remove-confirmed'));
    await settle();
    expect(removed).toHaveBeenCalledWith('github');
    expect(rows()[1]).toMatch(/github\s+Missing/);
    expect(desk.place.id).toBe('github');
    await fireEvent.click(screen.getAllByTestId('credential-row')[2]!);
    await settle();
    await fireEvent.click(screen.getByTestId('remove-credential'));
    await settle();
    expect(screen.getByTestId('remove-question').textContent).toContain('nothing stops working');
    await fireEvent.click(screen.getByTestId('remove-confirmed'));
    await settle();
    expect(rows().join()).not.toContain('npm-publish');
    expect(screen.queryByTestId('panel')).toBeNull();
  });

  it('say when no session uses any, and why', async () => {
    await show('long', 'keys');
    expect(screen.getByTestId('unused').textContent).toMatch(/No session uses any\..*30-broken/s);
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

  it('shows who set a value, what was overridden and why, and that it is managed', async () => {
    await show('managed', 'rules', 'approvals.scopes');
    const detail = screen.getByTestId('value-detail').textContent;
    expect(screen.getByTestId('value-managed').textContent).toBe('Managed by Acme');
    expect(detail).toContain('restricted by managed-file');
    expect(detail).toContain('20-acme.toml:31');
    expect(detail).toContain('How far an approval may reach');
  });

  it('tells of every status in a word, and of keys that nobody knows first', async () => {
    await show('long', 'rules');
    const rows = screen.getAllByTestId('value-row').map((row) => row.textContent ?? '');
    expect(rows[0]).toMatch(/network\.upload.*Too new/s);
    expect(rows[1]).toMatch(/network\.dney.*Unknown key/s);
    const status = (key: string) => rows.find((row) => row.startsWith(key));
    for (const [key, word] of [
      ['revision', 'Applied'],
      ['filesystem.read', 'Needs restart'],
      ['filesystem.deny', 'Partly read'],
      ['network.mode', 'Strictest'],
      ['limits.memory', 'Ignored'],
      ['limits.processes', 'Unsupported'],
      ['remote.url', 'Stops sessions'],
    ]) {
      expect(status(key!), key).toContain(word);
    }
  });

  it('leads from a key that nobody knows to the one that is nearest', async () => {
    const { desk } = await show('long', 'rules');
    await fireEvent.click(screen.getAllByTestId('value-row')[1]!);
    await settle();
    expect(screen.getByTestId('unknown-detail').textContent).toMatch(
      /The nearest is\s+network\.deny/,
    );
    await fireEvent.click(screen.getByText('network.deny', { selector: 'button' }));
    await settle();
    expect(desk.place.id).toBe('network.deny');
  });

  it('lists what is not understood on top, and what keeps sessions from starting', async () => {
    await show('long', 'rules');
    const told = screen.getByTestId('not-understood');
    expect(told.querySelector('summary')?.textContent).toBe('5 keys are not understood');
    expect(told.textContent).toContain('config.toml:7:1');
    expect(told.textContent).toContain('It is ignored.');
    expect(screen.getByTestId('blocked').textContent).toContain('No session starts.');
  });

  it('lists nothing on top where all is understood', async () => {
    await show('managed', 'rules');
    expect(screen.queryByTestId('not-understood')).toBeNull();
    expect(screen.queryByTestId('blocked')).toBeNull();
  });

  it('names the running session that needs a restart, with what it has', async () => {
    await show('long', 'rules', 'filesystem.read');
    const detail = screen.getByTestId('value-detail').textContent;
    expect(detail).toMatch(/Needs restart: session s-7f3a91c2/);
    expect(detail).toContain('~/old-docs');
  });

  it('searches keys, values and places, and says when nothing has the words', async () => {
    await show('busy', 'rules');
    await press('/');
    const search = screen.getByTestId('rules-search');
    expect(document.activeElement).toBe(search);
    const keys = async (text: string) => {
      await fireEvent.input(search, { target: { value: text } });
      await settle();
      const rows = screen.queryAllByTestId('value-row');
      return rows.map((row) => row.querySelector('span')?.textContent);
    };
    expect(await keys('ACME.example')).toEqual(['network.allow']);
    expect(await keys('git push')).toEqual(['commands.rule']);
    expect(await keys('no such word')).toEqual([]);
    expect(screen.getByTestId('nothing-found').textContent).toContain('no such word');
    expect(await keys('remote.')).toEqual(['remote.url', 'remote.root', 'remote.on_expiry']);
  });

  it('shows what nobody sets only when it is wanted', async () => {
    await show('busy', 'rules');
    const keys = () => screen.getAllByTestId('value-row').map((row) => row.textContent);
    expect(keys().join()).not.toContain('not set');
    expect(screen.getByTestId('hidden-keys').textContent).toContain('23 more keys are not set');
    await fireEvent.click(screen.getByTestId('show-unset'));
    await settle();
    expect(keys().join()).toContain('organisation not set');
    expect(screen.queryByTestId('hidden-keys')).toBeNull();
  });

  it.each([
    ['managed', '/etc/chaperone/policy.d/20-acme.toml:14'],
    ['macos', 'dev.chaperone.desktop:network.mode'],
    ['windows', 'HKLM\\SOFTWARE\\Policies\\Chaperone\\network!mode'],
  ])('copies the place of a value: %s', async (scenario, place) => {
    const write = vi.fn(async () => {});
    vi.stubGlobal('navigator', { ...navigator, platform: '', clipboard: { writeText: write } });
    await show(scenario, 'rules', 'network.mode');
    await fireEvent.click(screen.getAllByLabelText(/^Copy the place/)[0]!);
    await settle();
    expect(write).toHaveBeenCalledWith(place);
    vi.unstubAllGlobals();
  });

  it('asks for a workspace’s own policy, also in why', async () => {
    const { backend } = await show('busy', 'rules');
    const rules = vi.spyOn(backend, 'rules');
    const why = vi.spyOn(backend, 'why');
    await fireEvent.change(screen.getByTestId('rules-workspace'), {
      target: { value: '/home/ada/work/api' },
    });
    await settle();
    expect(rules).toHaveBeenLastCalledWith('/home/ada/work/api');
    await press('w');
    expect(document.activeElement).toBe(screen.getByTestId('why'));
    await fireEvent.input(screen.getByTestId('why'), { target: { value: 'make' } });
    await fireEvent.submit(screen.getByTestId('why').closest('form')!);
    await settle();
    expect(why.mock.calls[0]?.[0].workspace).toBe('/home/ada/work/api');
  });

  it('gives the policy out for a support ticket, and hosts only when told', async () => {
    const write = vi.fn<(text: string) => Promise<void>>(async () => {});
    vi.stubGlobal('navigator', { ...navigator, platform: '', clipboard: { writeText: write } });
    await show('managed', 'rules');
    await fireEvent.click(screen.getByTestId('open-report'));
    await settle();
    const text = () => screen.getByTestId('report-text').textContent ?? '';
    expect(text()).toContain('<host-1>');
    expect(text()).not.toMatch(/acme|\/home\/ada/i);
    await fireEvent.click(screen.getByTestId('report-copy'));
    await settle();
    expect(write).toHaveBeenCalledWith(text());
    expect(screen.getByTestId('report-said').textContent).toContain('Copied');
    await fireEvent.click(screen.getByTestId('report-hosts'));
    await settle();
    expect(text()).toContain('acme.example');
    await fireEvent.click(screen.getByTestId('report-save'));
    await settle();
    expect(screen.getByTestId('report-said').textContent).toContain('Saved as /home/ada/');
    vi.unstubAllGlobals();
  });

  it('revokes a grant', async () => {
    await show('busy', 'rules');
    const listed = () => screen.getAllByTestId('grant').map((row) => row.textContent);
    expect(listed().join()).toMatch(/git push origin.*ends with its\s+session/s);
    expect(listed().join()).toMatch(/files\.acme\.example:443.*in\s.*/s);
    await fireEvent.click(screen.getByLabelText(/Revoke: Run git push/));
    await settle();
    expect(listed()).toHaveLength(1);
    expect(listed().join()).not.toMatch(/git push/);
  });

  it('has a header for each source, and the absent ones in one place', async () => {
    await show('long', 'rules');
    await fireEvent.click(screen.getByTestId('view-layers'));
    await settle();
    const layers = screen.getAllByTestId('layer-row').map((row) => row.textContent);
    expect(layers.join()).toMatch(/Unreadable.*Untrusted.*Expired.*Present.*Invalid/s);
    expect(layers.join()).toMatch(/revision 42.*read just now.*digest 3f9a1c02d4e5/s);
    expect(screen.queryByTestId('absent-layers')).toBeNull();
  });

  it('collapses sources that are absent', async () => {
    await show('busy', 'rules');
    await fireEvent.click(screen.getByTestId('view-layers'));
    await settle();
    const told = screen.getByTestId('absent-layers');
    expect(told.textContent).toBe('2 sources are absent');
    expect(told.closest('details')?.open).toBe(false);
    expect(screen.getAllByTestId('layer-row')).toHaveLength(3);
  });
});

describe('observe mode', () => {
  it.each(PAGES)('is said on %s, until when and by whom', async (page) => {
    await show('observe', page);
    const banner = screen.getByTestId('observe-banner').textContent;
    expect(banner).toMatch(/Observe mode until \d+ \w+ \d{4}\./);
    expect(banner).toContain('Set by Acme');
    expect(banner).toContain('20-acme.toml:4');
  });

  it('is not said where the policy is enforced', async () => {
    await show('managed', 'home');
    expect(screen.queryByTestId('observe-banner')).toBeNull();
  });

  it('ends with its time', async () => {
    const { backend } = await show('observe', 'home');
    backend.recording.managed!.observes!.until = new Date(Date.now() + 60_000).toISOString();
    backend.tell('rules', null);
    await settle();
    expect(screen.getByTestId('observe-banner')).toBeTruthy();
    await pass(90_000);
    expect(screen.queryByTestId('observe-banner')).toBeNull();
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
