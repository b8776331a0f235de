// What somebody sees and does in the window, page by page, over invented data.
import { flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import App from '../src/App.svelte';
import type { Bridge } from '../src/lib/bridge.ts';
import { asked as asking } from '../src/lib/confirm.svelte.ts';
import { live } from '../src/lib/live.svelte.ts';
import { PIN, mockBridge } from '../src/lib/mock.ts';
import type { Device, Goal, Job, NodeState, Page, Request, SerialPort, Start, View } from '../src/lib/model.ts';
import { complain, notes, tell } from '../src/lib/notes.svelte.ts';
import { route } from '../src/lib/route.svelte.ts';
import { said, speak, t } from '../src/lib/words.svelte.ts';

const NOWHERE: Goal = { page: 'overview', job: null, dashboard_id: null, about: null };
let app: Record<string, unknown> | undefined;
let asked: Request[] = [];
let node: (state: NodeState) => void = () => undefined;

beforeEach(() => {
  // The test browser lays nothing out; boxes get a size so that long lists draw rows.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(640);
});

afterEach(async () => {
  if (app) await unmount(app);
  app = undefined;
  document.body.replaceChildren();
  location.hash = '';
  for (const note of notes.shown) notes.drop(note.id);
  asking.answer(false);
  Object.assign(live, { view: null, devices: null, settings: null, start: null, environments: null, ordered: new Set() });
  live.node = { state: 'connecting', message: '' };
  route.request = null;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets promises and effects settle. */
async function settle() {
  for (let i = 0; i < 12; i += 1) {
    await Promise.resolve();
    flushSync();
    await tick();
  }
}

/** Opens the window on a page, over a scene of the invented data. */
async function open(scene: string, hash = '', over: (bridge: Bridge) => Bridge = (bridge) => bridge) {
  asked = [];
  const mock = mockBridge(new URLSearchParams({ scene, devices: '500' }));
  const bridge: Bridge = over({
    ...mock,
    request: (body) => {
      asked.push(body);
      return mock.request(body);
    },
    onNode: (on) => {
      node = on;
      mock.onNode(on);
    },
  });
  location.hash = hash;
  await speak('en');
  void live.open(bridge);
  app = mount(App, { target: document.body });
  route.read();
  await settle();
  await vi.dynamicImportSettled();
  await settle();
}

async function goTo(page: Page) {
  route.go(page);
  await settle();
  await vi.dynamicImportSettled();
  await settle();
}

function text(selector = 'main'): string {
  return document.querySelector(selector)?.textContent?.replace(/\s+/g, ' ').trim() ?? '';
}

/** Returns the button with a name; the name is what a screen reader says. */
function button(name: string | RegExp, within: ParentNode = document): HTMLButtonElement {
  const found = [...within.querySelectorAll<HTMLButtonElement>('button, [role=menuitem]')].find((one) => {
    const said = one.getAttribute('aria-label') ?? one.textContent?.replace(/\s+/g, ' ').trim() ?? '';
    return typeof name === 'string' ? said === name : name.test(said);
  });
  if (found === undefined) throw new Error(`There is no button ${name}.`);
  return found;
}

async function press(name: string | RegExp, within?: ParentNode) {
  button(name, within).click();
  await settle();
}

async function key(of: Element, name: string, options: KeyboardEventInit = {}) {
  of.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true, ...options }));
  await settle();
}

test('the overview says what this computer does, for whom, and why', async () => {
  await open('busy');
  expect(text('h1')).toBe('Building 2 devices for you');
  expect(text()).toContain('Living room lamp');
  expect(text()).toContain('Nothing stands in the way of building for others.');
  expect(text()).toContain('Kitchen plug');
});

test('a pause is one sentence with its reason and its end, and can be ended', async () => {
  await open('paused');
  expect(text()).toMatch(/You paused it\. Goes on at \d\d:\d\d/);
  await press('Resume');
  expect(asked).toContainEqual({ request: 'resume' });
});

test('pausing is a menu that the keyboard can walk and Escape closes', async () => {
  await open('active');
  await press('Pause');
  const menu = document.querySelector('[role=menu]');
  if (menu === null) throw new Error('no menu');
  expect(document.activeElement?.textContent).toBe('For 30 minutes');
  await key(menu, 'ArrowDown');
  expect(document.activeElement?.textContent).toBe('For 2 hours');
  await key(menu, 'End');
  expect(document.activeElement?.textContent).toBe('Until I resume');
  await key(menu, 'Escape');
  expect(document.querySelector('[role=menu]')).toBeNull();
  expect(document.activeElement).toBe(button('Pause'));
  await press('Pause');
  await press('For 2 hours');
  expect(asked).toContainEqual({ request: 'pause', for: '2h' });
});

test('of five hundred devices only those in sight are drawn, and the keyboard reaches all', async () => {
  await open('busy', '#/devices');
  const rows = () => document.querySelectorAll('.rows [role=row]');
  expect(text()).toContain('500 devices');
  expect(rows().length).toBeLessThan(60);
  expect(document.querySelector('[role=grid]')?.getAttribute('aria-rowcount')).toBe('501');
  const first = rows()[0];
  if (first === undefined) throw new Error('no row');
  expect(document.querySelectorAll('.rows [role=row][tabindex="0"]')).toHaveLength(1);
  await key(first, 'ArrowDown');
  expect(document.activeElement).toBe(rows()[1]);
  await key(rows()[1] as Element, ' ');
  expect(text('.picked')).toContain('1 chosen');
  await key(rows()[1] as Element, 'Escape');
  expect(document.querySelector('.picked')).toBeNull();
});

test('devices are found by name and by state', async () => {
  await open('busy', '#/devices');
  const field = document.querySelector<HTMLInputElement>('main input[type=search]');
  if (field === null) throw new Error('no field');
  field.value = 'kitchen pl';
  field.dispatchEvent(new InputEvent('input', { bubbles: true }));
  await settle();
  expect([...document.querySelectorAll('.rows .name bdi:first-child')].map((one) => one.textContent)[0]).toBe('Kitchen plug');
});

test('updating all outdated devices asks first and then installs exactly those', async () => {
  await open('busy', '#/devices');
  await press(/^Update all \d+ outdated$/);
  expect(asked.filter((one) => one.request === 'install')).toEqual([]);
  await press('Update', document.querySelector('dialog') ?? document);
  const old = (live.devices ?? []).filter((d) => d.problem === null && d.deployed_version !== '' && d.deployed_version !== '2026.10.0');
  const busy = ['hall-blind.yaml', 'garage-doorbell.yaml'];
  const outdated = old.filter((d) => !busy.includes(d.configuration));
  expect(outdated.length).toBe(old.length - 1);
  const installed = () => asked.filter((one) => one.request === 'install');
  await vi.waitFor(() => expect(notes.shown[0]?.text).toBe(`${outdated.length} devices are under way.`), { timeout: 20_000 });
  expect(installed()).toHaveLength(outdated.length);
  expect(installed()[0]).toEqual({ request: 'install', device: outdated[0]?.configuration, build: 'auto', port: 'ota' });
});

test('a device is installed on the builder and through the port that were chosen', async () => {
  await open('busy', '#/devices');
  await press('More for Kitchen thermostat');
  await press('Install…');
  const dialog = document.querySelector('dialog') as HTMLElement;
  const [builder, port] = dialog.querySelectorAll('select');
  if (builder === undefined || port === undefined) throw new Error('no choice');
  expect([...port.options].map((one) => [one.value, one.disabled])).toContainEqual(['serial:/dev/ttyACM0', true]);
  expect(dialog.textContent).toContain('sudo usermod -aG dialout');
  builder.value = PIN.nas;
  builder.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  port.value = 'serial:/dev/ttyUSB0';
  port.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  await settle();
  dialog.querySelector('form')?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await settle();
  expect(asked).toContainEqual({
    request: 'install',
    device: 'kitchen-thermostat.yaml',
    build: PIN.nas,
    port: 'serial:/dev/ttyUSB0',
  });
});

test('a pair request shows emoji with names and every digit, warns, counts down, and rejects by default', async () => {
  await open('request');
  expect(text('.banner')).toContain('Holiday flat asks to build on this computer.');
  await press('Review…');
  const dialog = document.querySelector('dialog') as HTMLElement;
  expect(dialog.querySelectorAll('.emoji')[0]?.querySelectorAll('li')).toHaveLength(7);
  expect(dialog.textContent).toContain('Rabbit');
  expect(dialog.querySelector('.hex')?.textContent?.replace(/\s/g, '')).toBe(PIN.asks);
  expect(dialog.textContent).toMatch(/4 min \d+ s left/);
  expect(dialog.textContent).toContain('can run its own code here');
  expect(document.activeElement?.textContent).toBe('Reject');
  await press('Reject', dialog);
  expect(asked).toContainEqual({ request: 'reject', dashboard_id: 'asks' });
  expect(document.querySelector('dialog')).toBeNull();
});

test('a request that was answered elsewhere says so instead of an empty dialogue', async () => {
  await open('request');
  await press('Review…');
  live.view = live.view && { ...live.view, requests: [] };
  await settle();
  expect(text('dialog')).toContain('Nobody asks any more');
});

/** The dialogue that is open. */
const dialog = () => document.querySelector('dialog') as HTMLElement;

async function submit(form: Element | null) {
  form?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await settle();
}

/** Begins to pair with the first computer that was found, as far as to its key. */
async function compare() {
  await open('busy', '#/builders');
  const opener = button('Add a builder');
  opener.focus();
  opener.click();
  await settle();
  dialog().querySelector<HTMLInputElement>('[name=host]')?.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  await settle();
  await submit(dialog().querySelector('form'));
}

test('another request that is reviewed meanwhile is compared by its own key', async () => {
  await open('request');
  const view = live.view;
  const [first] = view?.requests ?? [];
  if (view === null || first === undefined) throw new Error('no request');
  const second = { ...first, dashboard_id: 'barn', label: 'Barn', pin_sha256: PIN.laptop };
  live.see({ event: 'view', view: { ...view, requests: [first, second] } });
  route.open({ ...NOWHERE, page: 'builders', dashboard_id: 'asks' });
  await settle();
  expect(text('dialog')).toContain('Holiday flat asks to build here');
  route.open({ ...NOWHERE, page: 'builders', dashboard_id: 'barn' });
  await settle();
  expect(text('dialog')).toContain('Barn asks to build here');
  expect(dialog().querySelector('.hex')?.textContent?.replace(/\s/g, '')).toBe(PIN.laptop);
  expect(document.activeElement?.textContent).toBe('Reject');
});

/** Refuses one kind of request, as a node may. */
function refusing(kind: Request['request']) {
  return (bridge: Bridge): Bridge => ({
    ...bridge,
    request: async (body) => {
      if (body.request !== kind) return bridge.request(body);
      asked.push(body);
      throw { code: 'precondition_failed', message: 'It does not go.', hint: 'Wait.' };
    },
  });
}

test('what is refused in a dialogue is said in it, not under its veil', async () => {
  await open('request', '', refusing('approve'));
  await press('Review…');
  await press('Approve', dialog());
  expect(text('dialog [role=alert]')).toBe('It does not go. Wait.');
  expect(notes.shown).toEqual([]);
  if (app) await unmount(app);
  await open('alert', '#/builders', refusing('unpair'));
  await press('Solve…');
  await press('Unpair', dialog());
  await press('Forget', document.querySelectorAll('dialog')[1] ?? document);
  expect(text('dialog [role=alert]')).toBe('It does not go. Wait.');
  expect(notes.shown).toEqual([]);
});

test('a receiver that another program took over is never switched off to connect again', async () => {
  await open('alert', '#/builders', refusing('set_pairing_enabled'));
  const view = live.view;
  if (view === null) throw new Error('no view');
  live.see({ event: 'view', view: { ...view, alerts: view.alerts.map((one) => ({ ...one, kind: 'superseded', observed_pin_sha256: null })) } });
  await settle();
  await press('Solve…');
  await press('Connect again', dialog());
  expect(asked.filter((one) => one.request === 'set_pairing_enabled')).toEqual([{ request: 'set_pairing_enabled', pin_sha256: PIN.nas, enabled: true }]);
  expect(text('dialog [role=alert]')).toBe('It does not go. Wait.');
});

test('each step of pairing has its own title and its careful answer focused, and Enter in a field answers nothing', async () => {
  await compare();
  expect(text('dialog h2')).toBe('Compare the keys');
  expect(document.activeElement?.textContent).toBe('They differ');
  await submit(dialog().querySelector('form'));
  expect(asked.some((one) => one.request === 'pair')).toBe(false);
  await press('They are the same, pair', dialog());
  expect(text('dialog h2')).toBe('Waiting for Studio Mac');
  expect(document.activeElement?.textContent).toBe('Close');
  await press('Close', dialog().querySelector('footer') ?? document);
  expect(document.activeElement).toBe(button('Add a builder'));
});

test('whoever asked to be built for is told when the owner there declines', async () => {
  await compare();
  await press('They are the same, pair', dialog());
  const view = live.view;
  const [receiver] = view?.receivers ?? [];
  if (view === null || receiver === undefined) throw new Error('no receiver');
  const pending = { ...receiver, pin_sha256: PIN.asks, label: 'Studio Mac', status: 'pending' as const };
  expect(text('dialog')).toContain('Its owner decides now');
  live.see({ event: 'view', view: { ...view, receivers: [...view.receivers, pending] } });
  await settle();
  expect(text('dialog')).toContain('Its owner decides now');
  live.see({ event: 'view', view });
  await settle();
  expect(text('dialog')).toContain('The owner of Studio Mac declined');
  expect(text('dialog')).not.toContain('Its owner decides now');
  // What the node keeps of it is told as what it is, and goes without a question: nothing is paired.
  const declined = { pin_sha256: PIN.asks, label: 'Studio Mac', endpoint: 'studio-mac.local:6055', kind: 'peer_revoked', observed_pin_sha256: null, since: view.at } as const;
  await press('Close', dialog().querySelector('footer') ?? document);
  live.see({ event: 'view', view: { ...view, alerts: [declined] } });
  await settle();
  expect(text()).toContain('Studio Mac did not let this computer in');
  await press('Solve…');
  expect(text('dialog')).toContain('Its owner declined');
  await press('Forget it', dialog());
  expect(asked).toContainEqual({ request: 'unpair', pin_sha256: PIN.asks });
  expect(document.querySelector('dialog')).toBeNull();
});

test('pairing sends nothing before the keys were compared, and differing is the default', async () => {
  await compare();
  expect(asked.map((one) => one.request)).toEqual(expect.arrayContaining(['preview']));
  expect(asked.some((one) => one.request === 'pair')).toBe(false);
  expect(dialog().querySelectorAll('.emoji')).toHaveLength(2);
  expect(dialog().querySelector('.main')?.textContent).toBe('They differ');
  await press('They are the same, pair', dialog());
  expect(asked).toContainEqual({ request: 'pair', endpoint: 'studio-mac.local:6055', pin_sha256: PIN.asks, label: 'Studio Mac' });
  expect(dialog().textContent).toContain('Its owner decides now');
});

test('a changed key shows both keys; pairing again compares anew and gives nothing up before', async () => {
  await open('alert', '#/builders');
  await press('Solve…');
  expect([...dialog().querySelectorAll('.hex')].map((one) => one.textContent?.replace(/\s/g, ''))).toEqual([PIN.nas, PIN.fresh]);
  expect(dialog().querySelector('[data-default]')?.textContent).toBe('Later');
  await press('Pair again…', dialog());
  await submit(dialog().querySelector('form'));
  expect(asked).toContainEqual({ request: 'preview', endpoint: '192.168.1.20:6055' });
  expect(asked.some((one) => one.request === 'pair' || one.request === 'unpair')).toBe(false);
});

test('forgetting asks, and no is the default', async () => {
  await open('busy', '#/builders');
  await press('More for Tower');
  await press('Forget…');
  const dialog = document.querySelector('dialog') as HTMLElement;
  expect(document.activeElement?.textContent).toBe('Cancel');
  expect(document.getElementById(dialog.getAttribute('aria-describedby') ?? '')?.textContent).toContain('compare the keys');
  await press('Cancel', dialog);
  expect(asked.some((one) => one.request === 'unpair')).toBe(false);
  await press('More for Tower');
  await press('Forget…');
  await press('Forget', document.querySelector('dialog') as HTMLElement);
  expect(asked).toContainEqual({ request: 'unpair', pin_sha256: PIN.tower });
});

test('Escape closes a dialogue and gives the focus back', async () => {
  await open('busy', '#/builders');
  const opener = button('Add a builder');
  opener.focus();
  opener.click();
  await settle();
  const dialog = document.querySelector('dialog') as HTMLDialogElement;
  expect(dialog.contains(document.activeElement)).toBe(true);
  dialog.dispatchEvent(new globalThis.Event('cancel', { cancelable: true }));
  await settle();
  expect(document.querySelector('dialog')).toBeNull();
  expect(document.activeElement).toBe(opener);
});

/** Presses a button with the keyboard: the focus is on it. */
async function hit(name: string | RegExp, within?: ParentNode) {
  button(name, within).focus();
  await press(name, within);
}

/** Returns what the keyboard stands on, as a screen reader says it. */
function standsOn(): string | undefined {
  const of = document.activeElement;
  return of?.getAttribute('aria-label') ?? of?.textContent?.replace(/\s+/g, ' ').trim();
}

test('where a button becomes another by being pressed, the keyboard stands on that one', async () => {
  await open('active');
  await hit('Pause');
  await hit('For 2 hours');
  expect(standsOn()).toBe('Resume');
  await hit('Resume');
  expect(standsOn()).toBe('Pause');
  await goTo('builders');
  await hit('Let others ask');
  expect(standsOn()).toBe('Stop');
  await hit('Stop');
  expect(standsOn()).toBe('Let others ask');
});

test('the keyboard goes on in the same part of the page when what it stood on is answered, stopped or forgotten', async () => {
  await open('request', '#/builders');
  const asks = document.querySelector('.asks') as HTMLElement;
  await hit('Review…', asks);
  await hit('Approve', dialog());
  expect(asks.isConnected).toBe(false);
  expect(standsOn()).toBe('More for Home Assistant');
  await hit("More for Lena's laptop");
  await hit('Forget…');
  await hit('Forget', dialog());
  expect(standsOn()).toBe('More for Home Assistant');
  await goTo('overview');
  await hit('Stop Hall blind');
  expect(asked).toContainEqual({ request: 'cancel', job: 'b2' });
  expect(standsOn()).toBe('Hall blind');
});

test('when a page goes with what the keyboard stood on, the title of the next one is read', async () => {
  await open('troubled');
  button('Try again').focus();
  node({ state: 'connecting', message: '' });
  await settle();
  expect(document.activeElement).toBe(document.querySelector('h1'));
});

test('what is gone takes no focus away from who pressed elsewhere', async () => {
  await open('busy');
  const gone = button('Stop Hall blind');
  gone.focus();
  gone.blur();
  await settle();
  await happens((view) => ({ jobs: view.jobs.filter((one) => one.id !== 'b2') }));
  expect(gone.isConnected).toBe(false);
  expect(document.activeElement).toBe(document.body);
});

test('a job shows its phases, why it is built there, and its log as text', async () => {
  vi.stubGlobal('requestAnimationFrame', (draw: () => void) => (draw(), 0));
  await open('busy', '#/job/b1');
  expect(text('.phases')).toMatch(/Wait.*Build.*Flash/);
  expect(text()).toContain('Built on Tower. Why there? receiver Tower: idle.');
  expect(document.querySelectorAll('.lines .line').length).toBeGreaterThan(5);
  expect(document.querySelectorAll('.lines .line').length).toBeLessThan(120);
  expect(document.querySelector('.lines b')).toBeNull();
  await press('Build here instead');
  expect(asked).toContainEqual({ request: 'build_here', job: 'b1' });
  await vi.waitFor(() => expect(text()).toContain('Built on this computer.'));
  await press('Stop');
  const [made] = live.view?.jobs.filter((one) => one.kind === 'compile') ?? [];
  expect(made?.id).not.toBe('b1');
  expect(asked).toContainEqual({ request: 'cancel', job: made?.id });
  vi.unstubAllGlobals();
});

test('a build with another ESPHome says with which', async () => {
  await open('busy', '#/job/b2');
  expect(text()).toContain('Built on NAS. It was built with ESPHome 2026.9.1, another version than this computer had. Why there?');
});

test('what the node says is said in the language of its owner, and quoted text as it is', async () => {
  await open('busy', '#/job/b1');
  await speak('de');
  await vi.waitFor(() => expect(text()).toContain('Warum dort? Rechner Tower: frei.'));
  expect(said('It snows.', { code: 'of_tomorrow' })).toBe('It snows.');
  expect(said('ld: cannot find -lfoo')).toBe('ld: cannot find -lfoo');
  expect(said('ld: \u202egnp.\u001b[2J')).toBe('ld: \\u{202e}gnp.\\u{1b}[2J');
  const quoted = { code: 'bundle_unreadable', values: { why: '\u202egnp' } };
  expect(said('The bundle is unreadable', quoted)).toContain('\\u{202e}gnp');
  const standing = { text: 'idle', code: 'standing_idle' };
  expect(said('receiver {why}: idle', { code: 'standing_of', values: { name: '{why}', standing } })).toBe('Rechner {why}: frei');
  await speak('en');
  expect(text()).toContain('Why there? receiver Tower: idle.');
});

test('a log is read on, and not from its beginning, when there is news of its job', async () => {
  const offsets: number[] = [];
  await open('busy', '#/job/b1', (bridge) => ({
    ...bridge,
    follow: (body, on) => {
      if (body.follow === 'log') offsets.push(body.offset);
      return bridge.follow(body, on);
    },
  }));
  const view = live.view;
  if (view === null) throw new Error('no view');
  const jobs = view.jobs.map((one) => ({ ...one, progress: 99 }));
  live.see({ event: 'view', view: { ...view, jobs } });
  await settle();
  expect(text()).toContain('99 %');
  expect(offsets).toEqual([0]);
});

test('the end of an own build is said aloud, a failure at once and with the way to its log', async () => {
  await open('busy');
  const view = live.view;
  if (view === null) throw new Error('no view');
  const ended = (status: 'completed' | 'failed', id: string) =>
    view.jobs.map((one) => (one.id === id ? { ...one, status, error: 'It did not link.' } : one));
  live.see({ event: 'view', view: { ...view, jobs: ended('completed', 'b2') } });
  await settle();
  expect(text('.notes [role=status]')).toContain('Hall blind is built.');
  live.see({ event: 'view', view: { ...view, jobs: ended('failed', 'b1') } });
  await settle();
  expect(text('.notes [role=alert]')).toContain('Kitchen plug could not be built. It did not link. Open log');
});

test('what failed stays while successes come and go, and what has no room is counted', async () => {
  await open('busy');
  for (let i = 1; i <= 6; i += 1) complain(`Problem ${i}`);
  for (let i = 1; i <= 3; i += 1) tell(`Done ${i}`);
  await settle();
  const alert = () => text('.notes [role=alert]');
  expect(alert()).toBe('Problem 3 Problem 4 Problem 5 Problem 6 and 2 more Close all');
  expect(text('.notes [role=status]')).toBe('Done 3');
  await hit('Close', document.querySelector('.note.problem:not(.more)') ?? document);
  expect(standsOn()).toBe('Close');
  expect(alert()).toBe('Problem 2 Problem 4 Problem 5 Problem 6 and 1 more Close all');
  await press('Close all');
  expect(alert()).toBe('');
  expect(text('.notes [role=status]')).toBe('Done 3');
});

test('names that are written from right to left stand for themselves in every sentence', async () => {
  const name = 'מטבח';
  const alone = `\u2068${name}\u2069`;
  await open('busy');
  expect(t('note.built', { name })).toBe(`${alone} is built.`);
  expect(t('note.built', { name: 'Küche' })).toBe('Küche is built.');
  const standing = { text: 'idle', code: 'standing_idle' };
  const why = { code: 'standing_of', values: { name, standing } };
  expect(said(`receiver ${name}: idle`, why)).toBe(`receiver ${alone}: idle`);
  await speak('de');
  expect(said(`receiver ${name}: idle`, why)).toBe(`Rechner ${alone}: frei`);
  await speak('en');
  // Also where it is told again, as a note is.
  const job = live.view?.jobs.find((one) => one.id === 'b2') as Job;
  await happens((view) => ({ jobs: view.jobs.map((one) => (one === job ? { ...one, device_name: name, status: 'failed' } : one)) }));
  expect(text('.notes [role=alert]')).toContain(`${alone} could not be built.`);
});

test('jobs of others end in silence', async () => {
  await open('busy');
  const view = live.view;
  if (view === null) throw new Error('no view');
  live.see({ event: 'view', view: { ...view, jobs: view.jobs.map((one) => (one.id === 'o1' ? { ...one, status: 'failed' } : one)) } });
  await settle();
  expect(notes.shown).toEqual([]);
});

test('a setting that the node refuses says why beside its field', async () => {
  await open('busy', '#/settings');
  const field = [...document.querySelectorAll<HTMLInputElement>('main input')].find((one) => one.value === '6055');
  if (field === undefined) throw new Error('no field');
  field.value = '70000';
  field.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  await settle();
  expect(text('main [role=alert]')).toBe('A port is a number from 0 to 65535. Use 6055.');
  expect(field.getAttribute('aria-invalid')).toBe('true');
});

test('without a version the newest is named and asked for before it is installed', async () => {
  await open('busy', '#/settings');
  document.querySelector('form.add')?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await settle();
  expect(text('dialog')).toContain('Install ESPHome 2026.11.0?');
  expect(asked.some((one) => one.request === 'install_environment')).toBe(false);
  await press('Install', document.querySelector('dialog') as HTMLElement);
  expect(asked).toContainEqual({ request: 'install_environment', version: '2026.11.0' });
});

test('whoever has no ESPHome is offered the newest where the devices are, and at the first start', async () => {
  await open('first');
  await press('Skip');
  expect(text('dialog')).toContain('wherever they are built');
  await press('Skip');
  await press('No');
  await goTo('devices');
  await press('Install ESPHome');
  expect(asked).toContainEqual({ request: 'install_environment', version: '2026.11.0' });
  live.environments = [{ version: '2026.11.0', path: '', state: 'installing', detail: 'making the environment', size_bytes: null, installed: false }];
  await settle();
  expect(text('.offer')).toContain('Installing ESPHome 2026.11.0: making the environment');
  await happens(({ identity }) => ({ identity: { ...identity, esphome_version: '2026.11.0' } }));
  expect(document.querySelector('.offer')).toBeNull();
});

test('the ESPHome that the settings name is offered also while another version comes for somebody else', async () => {
  const coming = (version: string) => ({ version, path: '', state: 'installing' as const, detail: 'making the environment', size_bytes: null, installed: false });
  const set = (bridge: Bridge): Bridge => ({
    ...bridge,
    request: async (body) => {
      const reply = await bridge.request(body);
      return reply.reply === 'settings' ? { ...reply, settings: { ...reply.settings, esphome_version: '2026.11.0' } } : reply;
    },
  });
  await open('empty', '#/devices', set);
  await live.readSettings();
  live.environments = [coming('2026.9.1')];
  await settle();
  expect(text('.offer')).not.toContain('2026.9.1');
  await press('Install ESPHome');
  expect(asked).toContainEqual({ request: 'install_environment', version: '2026.11.0' });
  live.environments = [coming('2026.9.1'), coming('2026.11.0')];
  await settle();
  expect(text('.offer')).toContain('Installing ESPHome 2026.11.0');
  expect(text('.offer')).not.toContain('Install ESPHome');
});

test('the version that the settings name is the one that is offered, and a refusal stands beside its button', async () => {
  const refuse = (bridge: Bridge): Bridge => ({
    ...bridge,
    request: async (body) => {
      const reply = await bridge.request(body);
      if (body.request === 'install_environment') throw { code: 'invalid_args', message: 'No Python.', hint: 'Install one.' };
      return reply.reply === 'settings' ? { ...reply, settings: { ...reply.settings, esphome_version: '2026.7.0' } } : reply;
    },
  });
  await open('empty', '#/devices', refuse);
  await live.readSettings();
  await settle();
  expect(text('.offer')).toContain('The ESPHome that your settings name is not installed on this computer: 2026.7.0.');
  await press('Install ESPHome');
  expect(asked).toContainEqual({ request: 'install_environment', version: '2026.7.0' });
  expect(asked).not.toContainEqual({ request: 'newest_environment' });
  expect(text('.offer')).toContain('No Python. Install one.');
});

test('the folder is looked at again when its page or the window is come back to, and not all the time', async () => {
  await open('busy');
  vi.useFakeTimers();
  const looks = () => asked.filter((one) => one.request === 'devices').length;
  const comesBack = () => window.dispatchEvent(new FocusEvent('focus'));
  await goTo('devices');
  vi.advanceTimersByTime(0);
  expect(looks()).toBe(1);
  for (let i = 0; i < 3; i += 1) comesBack();
  vi.advanceTimersByTime(4000);
  expect(looks()).toBe(1);
  vi.advanceTimersByTime(1000);
  expect(looks()).toBe(2);
  vi.advanceTimersByTime(60_000);
  expect(looks()).toBe(2);
  comesBack();
  vi.advanceTimersByTime(0);
  expect(looks()).toBe(3);
});

test('every setting of the node is shown, also one that this window does not know', async () => {
  await open('busy', '#/settings', (bridge) => ({
    ...bridge,
    request: async (body) => {
      const reply = await bridge.request(body);
      return reply.reply === 'settings' ? { ...reply, settings: { ...reply.settings, brand_new: 'x', paused_until: '' } } : reply;
    },
  }));
  const labels = [...document.querySelectorAll('main .setting label')].map((one) => one.textContent);
  expect(labels).toHaveLength(Object.keys(live.settings ?? {}).length - 1);
  expect(labels).toContain('brand_new');
  expect(labels).not.toContain('paused_until');
});

/** Returns the field of a setting by its name. */
function field<Field extends HTMLInputElement | HTMLSelectElement>(name: string): Field {
  const label = [...document.querySelectorAll<HTMLLabelElement>('main .setting label')].find((one) => one.textContent === name);
  const found = document.getElementById(label?.htmlFor ?? '');
  if (found === null) throw new Error(`There is no setting ${name}.`);
  return found as Field;
}

async function change(of: HTMLInputElement | HTMLSelectElement, value: string) {
  of.value = value;
  of.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  await settle();
}

test('giving up the box of builds of others says what that means, and no is the default', async () => {
  await open('busy', '#/settings');
  const box = () => field<HTMLSelectElement>('Box for builds of others');
  const set = () => asked.filter((one) => one.request === 'set_settings');
  await change(box(), 'off');
  expect(text('dialog')).toContain('can do anything here that you can do');
  expect(document.activeElement?.textContent).toBe('Cancel');
  await press('Cancel', dialog());
  expect([set(), box().value]).toEqual([[], 'required']);
  await change(box(), 'off');
  await press('Allow it', dialog());
  expect([set(), box().value]).toEqual([[{ request: 'set_settings', settings: [['sandbox', 'off']] }], 'off']);
  for (const stricter of ['best_effort', 'required']) {
    await change(box(), stricter);
    expect(document.querySelector('dialog')).toBeNull();
  }
  expect(set()).toHaveLength(3);
});

test('availability says what holds builds of others, and why nothing better does', async () => {
  await open('busy', '#/availability');
  expect(text('.box')).toContain('Tier 3 of 3 A closed box');
  if (app) await unmount(app);
  await open('trouble', '#/availability');
  expect(text('.box')).toMatch(/^Tier 0 of 3 No box holds on this computer\..*Not tier 3: this computer does not have bwrap\./);
});

test('a switch and a choice that the node refuses go back to what is set', async () => {
  await open('busy', '#/settings', refusing('set_settings'));
  const receiver = field<HTMLInputElement>('Build for others');
  receiver.click();
  await settle();
  expect(text('main [role=alert]')).toBe('It does not go. Wait.');
  expect(receiver.checked).toBe(true);
  const policy = field<HTMLSelectElement>('Versions of other computers');
  await change(policy, 'exact');
  expect(policy.value).toBe('any');
});

test('what is set elsewhere is shown: the switch of the tray at once, the rest when its page is opened', async () => {
  let elsewhere: Bridge['request'] = () => Promise.reject(new Error('no bridge'));
  await open('busy', '#/settings', (bridge) => {
    const { request } = bridge;
    elsewhere = (body) => request(body);
    return bridge;
  });
  expect(field<HTMLInputElement>('Build for others').checked).toBe(true);
  await elsewhere({ request: 'set_settings', settings: [['receiver', 'false']] });
  await settle();
  expect(field<HTMLInputElement>('Build for others').checked).toBe(false);
  for (const [page, name, setting] of [['availability', 'Away after', 'idle_minutes'], ['storage', 'Space for Kiln', 'storage_budget_mb'], ['settings', 'Port', 'listen_port']] as const) {
    await elsewhere({ request: 'set_settings', settings: [[setting, '17']] });
    await goTo(page);
    expect(field<HTMLInputElement>(name).value).toBe('17');
    await goTo('overview');
  }
});

test('availability shows every input with value, limit and result', async () => {
  await open('battery', '#/availability');
  expect(text('.now')).toContain('This computer runs on battery. Goes on when it is plugged in.');
  const rows = [...document.querySelectorAll('tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent?.trim()));
  expect(rows).toContainEqual(['Power', 'battery', 'mains', 'Blocks']);
  expect(rows).toHaveLength(13);
});

test('the activity says what was built for others and by others, and nothing when nothing was', async () => {
  await open('busy', '#/activity');
  expect(text()).toContain('Last 30 days: 41 builds for others · 2 h 4 min given · 86 builds by others · 4 h 12 min saved');
  if (app) await unmount(app);
  await open('empty', '#/activity');
  expect(text()).not.toContain('Last 30 days');
});

test('the diagnostics say whether the audit is intact, and which entry is not', async () => {
  await open('busy', '#/diagnostics');
  expect(text()).toContain('is intact up to entry 1,830.');
  if (app) await unmount(app);
  await open('trouble', '#/diagnostics');
  expect(text()).toContain('Entry 1,204 of the audit was changed.');
});

test('the diagnostics say what of this computer is not seen: notifications, and its port', async () => {
  await open('trouble', '#/diagnostics');
  expect(text()).toContain('Nothing on your desktop shows notifications.');
  if (app) await unmount(app);
  await open('busy', '#/diagnostics');
  const blocked = 'allow TCP port 6055 on this computer.';
  expect(text()).not.toContain(blocked);
  const view = live.view;
  if (view === null) throw new Error('no view');
  live.see({ event: 'view', view: { ...view, offloaders: view.offloaders.map((one) => ({ ...one, connected: false })) } });
  await settle();
  expect(text()).toContain(blocked);
});

test('storage shows what is kept for whom and why, and frees the rest only after a yes', async () => {
  await open('busy', '#/storage');
  expect(asked).toContainEqual({ request: 'storage' });
  expect(text('#used')).toBe('Kiln uses 9.2 GB of 21.5 GB');
  const rows = [...document.querySelectorAll('[aria-label="Home Assistant"] tbody tr')].map((row) => [...row.children].map((cell) => cell.textContent?.trim()));
  expect(rows).toContainEqual(['heat-pump · Build', '460 MB', '6 hours ago', 'Can go']);
  expect(rows).toContainEqual(['living-room · Build', '520 MB', 'just now', 'A job needs it']);
  await press('Free 4.1 GB');
  await press('Cancel');
  expect(asked).not.toContainEqual({ request: 'reclaim' });
  await press('Free 4.1 GB');
  await press('Delete', document.querySelector('dialog') ?? document);
  expect(asked).toContainEqual({ request: 'reclaim' });
  expect(document.body.textContent).toContain('4.1 GB freed');
  expect(button('Nothing to free').getAttribute('aria-disabled')).toBe('true');
});

test('a builder says what it built in the last month, also of devices that were built more than once', async () => {
  await open('busy', '#/builders');
  expect(text()).toContain('86 builds in the last 30 days · about 1 min 10 s each');
  expect(text()).toContain('No builds in the last 30 days');
});

test('a builder that is away says why, in the words of this window', async () => {
  await open('busy', '#/builders');
  const view = live.view;
  if (view === null) throw new Error('no view');
  const away = { idle: true, running: false, queue_depth: 0, absence: { reason: 'user_active', until: null } };
  live.see({ event: 'view', view: { ...view, receivers: view.receivers.map((one) => ({ ...one, link: 'connected', queue: away })) } });
  await speak('de');
  await settle();
  expect(text()).toContain('In Benutzung');
});

test('the report that is copied tells of the node as it is now', async () => {
  let report = 'Node: is called';
  await open('busy', '#/diagnostics', (bridge) => ({ ...bridge, diagnostics: async () => report }));
  node({ state: 'gone', message: '' });
  report = 'Node: answers';
  node({ state: 'connected', message: '' });
  await settle();
  expect(text('pre')).toBe('Node: answers');
});

test('diagnostics tells which Kiln this is and that newer ones are not asked for', async () => {
  await open('busy', '#/diagnostics');
  expect(text()).toContain(`This is Kiln ${live.start?.version}. No update channel is set up`);
});

test('without a node the page says so, and what to do', async () => {
  await open('gone');
  expect(text()).toContain('Kiln does not run. Start it again');
});

test('a node that cannot begin says why, and can be told to try again', async () => {
  let tries = 0;
  await open('troubled', '', (bridge) => ({ ...bridge, tryAgain: async () => void (tries += 1) }));
  expect(text()).toContain('Kiln cannot work yet. The keyring is locked; unlock it and try again.');
  expect(text()).not.toContain('kiln serve');
  await press('Try again');
  expect(tries).toBe(1);
});

test('when the node goes, what was seen stays under a banner, and when it is back everything is followed again', async () => {
  const followed: string[] = [];
  await open('busy', '', (bridge) => ({
    ...bridge,
    follow: (body, on) => {
      followed.push(body.follow);
      return bridge.follow(body, on);
    },
  }));
  node({ state: 'gone', message: '' });
  await settle();
  expect(text('.banner')).toContain('Kiln does not run.');
  expect(text()).toContain('Kitchen plug');
  followed.length = 0;
  node({ state: 'connected', message: '' });
  await settle();
  expect(followed.sort()).toEqual(['devices', 'environments', 'view']);
  expect(document.querySelector('.banner')).toBeNull();
});

test('the first start takes at most three screens, each can be skipped, and lending is asked', async () => {
  await open('first');
  expect(text('dialog')).toContain('Step 1 of 3');
  await press('Skip');
  expect(text('dialog')).toContain('Where are your configurations?');
  const folder = dialog().querySelector('input') as HTMLInputElement;
  expect(folder.value).toBe('/home/pat/esphome');
  folder.value = '';
  folder.dispatchEvent(new InputEvent('input', { bubbles: true }));
  await settle();
  expect(folder.value).toBe('');
  await press('Skip');
  expect(text('dialog')).toContain('Lend this computer?');
  await press('Yes, lend it');
  expect(asked).toContainEqual({ request: 'set_settings', settings: [['receiver', 'true']] });
  expect(document.querySelector('dialog')).toBeNull();
});

/** Changes what is known, as the node does when something happens. */
async function happens(change: (view: View) => Partial<View>) {
  if (live.view === null) throw new Error('no view');
  live.see({ event: 'view', view: { ...live.view, ...change(live.view) } });
  await settle();
}

/** Lets the flash of the invented data run. */
const flashes = (view: View) => ({
  jobs: view.jobs.map((one): Job => {
    if (one.id === 'b1') return { ...one, status: 'completed', completed_at: view.at };
    return one.id === 'b1-flash' ? { ...one, status: 'running', started_at: view.at } : one;
  }),
});

/** Returns the row of a device. */
function row(name: string): HTMLElement {
  const found = [...document.querySelectorAll<HTMLElement>('.rows [role=row]')].find((one) => one.querySelector('bdi')?.textContent === name);
  if (found === undefined) throw new Error(`There is no row ${name}.`);
  return found;
}

async function choose(...names: string[]) {
  for (const name of names) row(name).querySelector<HTMLInputElement>('input')?.click();
  await settle();
}

test('a failed build is told in the row of its device, and its log is the one that is shown', async () => {
  await open('idle', '#/devices');
  const name = 'Kitchen plug';
  const job = live.latest.get('kitchen-plug.yaml');
  expect(job?.status).toBe('completed');
  const failed = { ...(job as Job), id: 'x', kind: 'compile', depends_on: null, status: 'failed', completed_at: live.now(), error: 'It did not link.' } as const;
  await happens((view) => ({ jobs: [failed, ...view.jobs] }));
  expect(text('.rows .build')).toMatch(/^Build failed/);
  // Where there is no room for that column the failure stands below the name.
  expect(text('.rows .name')).toContain('Build failed · ESP32');
  await press(`More for ${name}`);
  await press('Show log');
  expect(location.hash).toBe('#/job/x');
});

test('a device that is being flashed is left alone by row, menu, keyboard and the choice of many', async () => {
  await open('busy', '#/devices');
  await happens(flashes);
  await press('More for Kitchen plug');
  const shut = [...document.querySelectorAll('[role=menuitem][aria-disabled=true]')].map((one) => one.textContent);
  expect(shut).toEqual(['Install…', 'Compile only', 'Clean build files']);
  await key(document.querySelector('[role=menu]') as Element, 'Escape');
  await key(row('Kitchen plug'), 'Enter');
  expect(document.querySelector('dialog')).toBeNull();
});

test('a flash that waits for its device keeps nothing newer from it, and counts as its update if it is one', async () => {
  await open('busy', '#/devices');
  const about = { ...live.devices?.[0], configuration: 'attic-proxy.yaml', friendly_name: 'Attic proxy', presence: 'offline' } as const;
  const waits = (built_version: string) => [{ ...about, deployed_version: '2026.9.1', built_version } as Device];
  live.devices = waits('2026.9.1');
  await settle();
  expect(text('main')).toContain('Waits for the device');
  await press('Update 1 outdated');
  await press('Update', dialog());
  expect(asked).toContainEqual({ request: 'install', device: 'attic-proxy.yaml', build: 'auto', port: 'ota' });
  live.devices = waits('2026.10.0');
  await settle();
  expect(text('main')).not.toContain('Update 1 outdated');
  asked = [];
  await choose('Attic proxy');
  expect(text('.picked')).not.toContain('left out');
  await press('Install Attic proxy');
  expect(asked).toContainEqual({ request: 'install', device: 'attic-proxy.yaml', build: 'auto', port: 'ota' });
});

test('where a new device goes is asked from its row, too, and a board that is plugged in meanwhile is found', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  let ports: SerialPort[] = [];
  await open('busy', '#/devices', (bridge) => ({
    ...bridge,
    request: async (body) => (body.request === 'serial_ports' ? { reply: 'serial_ports', ports } : bridge.request(body)),
  }));
  live.devices = (live.devices ?? []).map((one) => (one.friendly_name === 'Kitchen thermostat' ? { ...one, last_build: null, presence: 'unknown' } : one));
  await settle();
  await press('Install Kitchen thermostat');
  expect(asked.some((one) => one.request === 'install')).toBe(false);
  expect(dialog().textContent).toContain('A new device is flashed by cable first.');
  const offered = () => [...dialog().querySelectorAll('option')].map((one) => one.value);
  expect(offered()).not.toContain('serial:/dev/ttyUSB0');
  ports = [{ path: '/dev/ttyUSB0', product: 'Bridge', state: 'usable', problem: '' }];
  vi.advanceTimersByTime(2000);
  await settle();
  expect(offered()).toContain('serial:/dev/ttyUSB0');
  vi.useRealTimers();
});

test('after a flash that failed what is built is flashed again, without a build', async () => {
  await open('busy', '#/job/b1');
  await happens(flashes);
  const flash = (over: Partial<Job>) =>
    happens((view) => ({ jobs: view.jobs.map((job) => (job.id === 'b1-flash' ? { ...job, ...over } : job)) }));
  await flash({ status: 'failed', completed_at: live.now(), error: 'The password is wrong.' });
  expect([...document.querySelectorAll('.top button')].map((one) => one.textContent)).toEqual(['Flash again', 'Once more']);
  asked = [];
  await press('Flash again');
  expect(asked).toEqual([{ request: 'flash', device: 'kitchen-plug.yaml', port: 'ota' }]);
  await vi.waitFor(() => expect(route.job).toMatch(/-flash$/));
  const begun = route.job;
  await happens((view) => ({ jobs: view.jobs.map((job) => (job.id === begun ? { ...job, status: 'completed' } : job)) }));
  asked = [];
  await press('Once more');
  expect(asked).toEqual([{ request: 'flash', device: 'kitchen-plug.yaml', port: 'ota' }]);
});

test('stopping a flash asks first, from its page and from a list; a build stops at once', async () => {
  for (const [hash, name] of [['#/job/b1', 'Stop'], ['', 'Stop Kitchen plug']] as const) {
    await open('busy', hash);
    await happens(flashes);
    await press(name);
    expect(asked.some((one) => one.request === 'cancel')).toBe(false);
    expect(text('dialog')).toContain('may not start again');
    expect(document.activeElement?.textContent).toBe('Cancel');
    await press('Stop', dialog());
    expect(asked).toContainEqual({ request: 'cancel', job: 'b1-flash' });
    if (app) await unmount(app);
  }
  await open('busy', '');
  await press('Stop Kitchen plug');
  expect(asked).toContainEqual({ request: 'cancel', job: 'b1' });
});

test('of many devices those that cannot be built or are under way are left out, and that is said', async () => {
  await open('busy', '#/devices');
  // Kitchen plug is being built.
  const names = (live.devices ?? []).slice(0, 14);
  const broken = names.find((one) => one.problem !== null)?.friendly_name ?? '';
  await choose('Kitchen plug', 'Kitchen thermostat', 'Kitchen ceiling light', broken);
  expect(text('.picked')).toContain('4 chosen 2 left out: they have a problem or are under way');
  await press('Compile only', document.querySelector('.picked') ?? document);
  expect(text('dialog h2')).toBe('Compile 2 devices');
  await submit(dialog().querySelector('form'));
  const built = asked.filter((one) => one.request === 'compile').map((one) => 'device' in one && one.device);
  expect(built).toEqual(['kitchen-thermostat.yaml', 'kitchen-ceiling-light.yaml']);
  expect(document.querySelector('.picked')).toBeNull();
  expect(document.activeElement?.getAttribute('role')).toBe('row');
});

test('one refused device does not hold up the others, a node that is gone does; both are said', async () => {
  const codes = ['not_found', 'precondition_failed', 'no_node'];
  await open('busy', '#/devices', (bridge) => ({
    ...bridge,
    request: async (body) => {
      if (body.request !== 'clean') return bridge.request(body);
      asked.push(body);
      const code = codes[asked.filter((one) => one.request === 'clean').length - 2];
      if (code !== undefined) throw { code, message: `It is ${code}.`, hint: '' };
      return { reply: 'done' };
    },
  }));
  const devices = (live.devices ?? []).slice(1, 7);
  await live.each(devices, (one) => ({ request: 'clean', device: one.configuration }));
  expect(asked.filter((one) => one.request === 'clean')).toHaveLength(4);
  const told = notes.shown.map((note) => `${note.text} ${note.hint}`.trim());
  expect(told).toEqual([
    'It is no_node. Nothing was begun for 3 devices.',
    '1 device is under way.',
    '2 devices were refused: Kitchen ceiling light, Kitchen door sensor. It is not_found.',
  ]);
});

test('installing one device keeps the choice of others', async () => {
  await open('busy', '#/devices');
  await choose('Kitchen ceiling light', 'Kitchen door sensor');
  await press('Install Kitchen thermostat');
  expect(asked).toContainEqual({ request: 'install', device: 'kitchen-thermostat.yaml', build: 'auto', port: 'ota' });
  expect(text('.picked')).toContain('2 chosen');
});

test('installing from a row leaves the keyboard in it', async () => {
  await open('busy', '#/devices');
  await hit('Install Kitchen thermostat');
  expect(document.activeElement).toBe(row('Kitchen thermostat'));
});

test('Tab comes to a row also when the one with the keyboard was scrolled away', async () => {
  await open('busy', '#/devices');
  const box = document.querySelector('.rows') as HTMLElement;
  const reached = () => [...document.querySelectorAll('.rows [role=row][tabindex="0"]')].map((one) => one.getAttribute('aria-rowindex'));
  expect(reached()).toEqual(['2']);
  box.scrollTop = 64 * 200;
  box.dispatchEvent(new globalThis.Event('scroll'));
  await settle();
  const [first] = document.querySelectorAll('.rows [role=row]');
  expect(reached()).toEqual([first?.getAttribute('aria-rowindex')]);
});

test('giving the choice up leaves the keyboard in the table', async () => {
  await open('busy', '#/devices');
  await choose('Kitchen ceiling light');
  button('Choose none').focus();
  await press('Choose none');
  expect(document.activeElement).toBe(row('Kitchen plug'));
});

test('a refused setting of the desktop is not shown as if it were set, and the page reads them anew', async () => {
  let login: 'on' | 'off' = 'on';
  await open('busy', '', (bridge) => ({
    ...bridge,
    desktopSettings: async () => ({ ...(await bridge.desktopSettings()), start_at_login: login }),
    setDesktopSetting: async () => {
      throw { code: 'unavailable', message: 'The folder cannot be written.', hint: '' };
    },
  }));
  login = 'off';
  route.go('settings');
  await settle();
  await vi.dynamicImportSettled();
  await settle();
  const field = document.querySelector<HTMLSelectElement>('#start_at_login') as HTMLSelectElement;
  expect(field.value).toBe('off');
  field.value = 'on';
  field.dispatchEvent(new globalThis.Event('change', { bubbles: true }));
  await settle();
  expect(text('.notes [role=alert]')).toContain('The folder cannot be written.');
  expect(field.value).toBe('off');
});

test('End in a log goes to its end, in its search field to the end of the words', async () => {
  await open('busy', '#/job/b1');
  const follow = () => button('Follow').getAttribute('aria-pressed');
  await press('Follow');
  expect(follow()).toBe('false');
  await key(document.querySelector('.log input') as Element, 'End');
  await key(document.body, 'End');
  expect(follow()).toBe('false');
  await key(document.querySelector('.lines') as Element, 'End');
  expect(follow()).toBe('true');
});

test('the key for searching a log does nothing under a dialogue', async () => {
  await open('busy', '#/job/b1');
  await happens(flashes);
  await press('Stop');
  await key(document.activeElement as Element, 'f', { ctrlKey: true });
  expect(document.activeElement?.textContent).toBe('Cancel');
  await press('Cancel', dialog());
  await key(document.body, 'f', { ctrlKey: true });
  expect(document.activeElement).toBe(document.querySelector('.log input'));
});

test('what could not be copied says so', async () => {
  await open('busy', '#/diagnostics');
  vi.spyOn(navigator.clipboard, 'writeText').mockRejectedValue(new Error('not allowed'));
  Object.assign(document, { execCommand: () => false });
  await press('Copy report');
  expect(text('.notes [role=alert]')).toContain('The text could not be copied.');
  expect(text('.notes [role=status]')).toBe('');
});

test('while the node does not answer, nothing that was seen looks like now', async () => {
  await open('idle');
  expect(text('h1')).toBe('Ready to build');
  expect(document.querySelector('main .hero .state.ok')).not.toBeNull();
  for (const state of ['gone', 'connecting', 'troubled'] as const) {
    node({ state, message: '' });
    await settle();
    expect(text('h1')).toBe('What this computer does now is not known');
    expect(text('main')).not.toContain('Nothing stands in the way');
    expect(text('.banner')).toContain('What you see is from');
    const looks = [...document.querySelectorAll('main .state')];
    expect(looks.length).toBeGreaterThan(1);
    expect(looks.filter((one) => !one.classList.contains('off'))).toEqual([]);
    expect(looks[1]?.textContent).toContain('Before:');
    expect(document.querySelector('main')?.classList).toContain('stale');
  }
  node({ state: 'connected', message: '' });
  await settle();
  expect(text('h1')).toBe('Ready to build');
  expect(text('main')).not.toContain('Before:');
});

test('the headline names the same job as the tray: one of ours first, a flash too, the oldest of several', async () => {
  await open('idle');
  const theirs = { by: 'offloader', pin_sha256: PIN.green, dashboard_id: 'green', wire_job_id: 'w', label: 'Home Assistant' } as const;
  const [some] = live.view?.jobs ?? [];
  const job = (id: string, over: Partial<Job>): Job => ({ ...(some as Job), depends_on: null, deferred: false, status: 'running', device_name: id, id, ...over });
  const porch = job('Porch', { kind: 'compile', origin: theirs, started_at: 1 });
  const shed = job('Shed', { kind: 'compile', origin: theirs, started_at: 2 });
  const lamp = job('Lamp', { kind: 'upload', started_at: 3 });
  await happens(() => ({ jobs: [shed, porch] }));
  expect(text('h1')).toBe('Building Porch for Home Assistant');
  await happens(() => ({ jobs: [lamp, shed, porch] }));
  expect(text('h1')).toBe('Installing Lamp');
  expect(text('.hero .state')).toBe('Flashing');
});

test('who comes for the outdated devices sees those, who comes for a builder stands on it', async () => {
  let go: (goal: Goal) => void = () => undefined;
  const over = (bridge: Bridge): Bridge => ({
    ...bridge,
    onOpen: (on) => (go = on),
    start: async (): Promise<Start> => ({ ...(await bridge.start()), page: 'builders', about: PIN.nas }),
  });
  await open('busy', '', over);
  await vi.dynamicImportSettled();
  await settle();
  expect(document.activeElement?.textContent).toContain('NAS');
  go({ ...NOWHERE, page: 'devices', about: 'outdated' });
  await settle();
  await vi.dynamicImportSettled();
  await settle();
  expect(document.querySelector<HTMLSelectElement>('.only select')?.value).toBe('outdated');
  expect(text('main [role=status]')).not.toBe('500 devices');
});

test('a click in the tray that was in vain is said in the window, also in one that opens for it', async () => {
  let refuse: (message: string) => void = () => undefined;
  const over = (bridge: Bridge): Bridge => ({
    ...bridge,
    onRefused: (on) => (refuse = on),
    start: async (): Promise<Start> => ({ ...(await bridge.start()), refused: 'No Kiln is running here.' }),
  });
  await open('busy', '', over);
  expect(notes.shown.map((note) => [note.kind, note.text])).toEqual([['problem', 'No Kiln is running here.']]);
  refuse('There is no device \u2068מטבח\u2069.');
  expect(notes.shown.map((note) => note.text)).toEqual([
    'No Kiln is running here.',
    'There is no device \u2068מטבח\u2069.',
  ]);
});

test('names of others cannot steer the page', async () => {
  await open('request');
  const view = live.view;
  if (view === null) throw new Error('no view');
  const [request] = view.requests;
  if (request === undefined) throw new Error('no request');
  live.see({ event: 'view', view: { ...view, requests: [{ ...request, label: '<b>x</b>\u202egnp' }] } });
  await settle();
  expect(text('.banner')).toContain('<b>x</b>\\u{202e}gnp asks');
  expect(document.querySelector('.banner b')).toBeNull();
});

test('German is spoken when it is chosen', async () => {
  await open('busy');
  await speak('de');
  await settle();
  expect(text('nav')).toContain('Übersicht');
  expect(document.documentElement.lang).toBe('de');
});
