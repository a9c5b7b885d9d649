// Starts the window: chooses the backend, sets the theme, mounts the app.
import './app.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { Desk } from './lib/desk.svelte';
import { chooseBackend } from './lib/backend/choose';
import { asFailure } from './lib/live.svelte';

async function start(target: HTMLElement): Promise<void> {
  try {
    const desk = new Desk(await chooseBackend());
    await desk.begin();
    mount(App, { target, props: { desk } });
  } catch (error) {
    target.textContent = asFailure(error).message;
  }
}

const target = document.getElementById('app');
if (target) void start(target);
