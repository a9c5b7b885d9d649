import { beforeEach, describe, expect, it } from 'vitest';
import { InputGuard } from './guard';

describe('the input guard', () => {
  let now = 0;
  let guard: InputGuard;
  const pressAndRelease = (held = false) => guard.complete(guard.press(held));

  beforeEach(() => {
    now = 1_000;
    guard = new InputGuard(() => now);
    guard.show('push');
  });

  it('ignores input until 600 ms after a card appears, and takes it from then on', () => {
    expect(pressAndRelease()).toBe('card-is-new');
    now += 599;
    expect(pressAndRelease()).toBe('card-is-new');
    expect(guard.remaining()).toBe(1);
    now += 1;
    expect(guard.remaining()).toBe(0);
    expect(pressAndRelease()).toBeNull();
  });

  it('begins anew when the card changes, and not when the same card is shown again', () => {
    now += 600;
    guard.show('push');
    expect(pressAndRelease()).toBeNull();
    guard.show('push --force');
    expect(pressAndRelease()).toBe('card-is-new');
    now += 600;
    expect(pressAndRelease()).toBeNull();
  });

  it('answers nothing with a press that began too early, however late it ends', () => {
    const press = guard.press();
    now += 5_000;
    expect(guard.complete(press)).toBe('card-is-new');
  });

  it('answers nothing with a press that began on another card', () => {
    now += 600;
    const press = guard.press();
    guard.show('push --force');
    now += 5_000;
    expect(guard.complete(press)).toBe('card-changed-meanwhile');
  });

  it('answers nothing when the card changed and changed back under the press', () => {
    now += 600;
    const press = guard.press();
    guard.show('push --force');
    guard.show('push');
    now += 5_000;
    expect(guard.complete(press)).toBe('card-changed-meanwhile');
  });

  it('answers nothing with the click that activates the window', () => {
    now += 600;
    guard.deactivated();
    const before = guard.press();
    guard.activated();
    expect(guard.complete(before)).toBe('window-not-active');
    expect(pressAndRelease()).toBe('window-just-activated');
    now += 600;
    expect(pressAndRelease()).toBeNull();
  });

  it('answers nothing with an activating click whose press arrives before the activation', () => {
    now += 600;
    const press = guard.press();
    now += 2;
    guard.activated();
    now += 80;
    expect(guard.complete(press)).toBe('window-just-activated');
    const late = guard.press();
    now += 600;
    expect(guard.complete(late)).toBe('window-just-activated');
  });

  it('answers nothing with a key that is held down', () => {
    now += 600;
    expect(pressAndRelease(true)).toBe('key-held-down');
    expect(pressAndRelease(false)).toBeNull();
  });
});
