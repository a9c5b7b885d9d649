// The virtual list keeps its place, whatever arrives.
import { fireEvent, screen } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Shown, settle, show } from './show';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function events(): Promise<Shown & { list: HTMLElement }> {
  const shown = await show('busy', 'activity');
  await fireEvent.click(screen.getByTestId('view-events'));
  await settle();
  return { ...shown, list: screen.getByTestId('event-list') };
}

async function arrive({ backend }: Shown, amount: number): Promise<void> {
  const [first] = backend.recording.events;
  for (let index = 0; index < amount; index += 1) {
    backend.recording.events.unshift({ ...first!, seq: 1_000 + index, what: `new ${index}` });
  }
  backend.tell('activity', null);
  await settle();
}

const scroll = async (list: HTMLElement, to: number) => {
  list.scrollTop = to;
  await fireEvent.scroll(list);
  await settle();
};

describe('a list that grows at its beginning', () => {
  it('stays where somebody reads', async () => {
    const shown = await events();
    await scroll(shown.list, 360);
    await arrive(shown, 3);
    expect(shown.list.scrollTop).toBe(360 + 3 * 36);
  });

  it('stays under the pointer also at the top, and says what is new', async () => {
    const shown = await events();
    await fireEvent.pointerEnter(shown.list);
    await arrive(shown, 2);
    expect(shown.list.scrollTop).toBe(72);
    await fireEvent.click(screen.getByText('2 new'));
    await settle();
    expect(shown.list.scrollTop).toBe(0);
  });

  it('shows what is new at once when nobody is there', async () => {
    const shown = await events();
    await arrive(shown, 2);
    expect(shown.list.scrollTop).toBe(0);
    expect(screen.getAllByTestId('event-row')[0]?.textContent).toContain('new 1');
  });

  it('fetches more as its end comes near', async () => {
    const shown = await events();
    const asked = vi.spyOn(shown.backend, 'events');
    await scroll(shown.list, 190 * 36);
    expect(asked).toHaveBeenCalledWith(expect.anything(), '200');
    await scroll(shown.list, 219 * 36);
    expect(shown.list.querySelector('[aria-posinset="220"]')).not.toBeNull();
  });

  it('moves by the keyboard and names the row that is current', async () => {
    const { list } = await events();
    await fireEvent.keyDown(list, { key: 'End' });
    await settle();
    await scroll(list, list.scrollTop);
    const current = list.querySelector('[aria-selected=true]');
    expect(current?.id).toBe(list.getAttribute('aria-activedescendant'));
    expect(current?.getAttribute('aria-posinset')).toBe('200');
  });
});
