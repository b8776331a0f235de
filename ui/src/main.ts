// Starts the window: chooses the bridge and draws the page.
import { mount } from 'svelte';

import App from './App.svelte';
import { tauriBridge } from './lib/bridge.ts';
import { live } from './lib/live.svelte.ts';
import { speak, systemLanguage } from './lib/words.svelte.ts';
import './theme.css';

declare const __MOCK__: boolean;

async function bridge() {
  if (__MOCK__) return (await import('./lib/mock.ts')).mockBridge(new URLSearchParams(location.search));
  return tauriBridge;
}

// Words first, so that whatever happens next can be said.
await speak(systemLanguage());
void live.open(await bridge());
const target = document.getElementById('app');
if (target !== null) mount(App, { target });
