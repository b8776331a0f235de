// The bridge calls the commands of the window with the arguments that it expects, and failures are sentences.
import { clearMocks, mockIPC } from '@tauri-apps/api/mocks';
import { afterEach, expect, test } from 'vitest';

import { refusal, tauriBridge } from '../src/lib/bridge.ts';
import type { Event } from '../src/lib/model.ts';

afterEach(() => clearMocks());

/** Answers every command from `answers` and notes what was called. */
function shell(answers: Record<string, unknown>) {
  const calls: [string, Record<string, unknown>][] = [];
  mockIPC((command, args) => {
    calls.push([command, (args ?? {}) as Record<string, unknown>]);
    const answer = answers[command];
    if (answer instanceof Error) throw { code: 'not_found', message: answer.message, hint: 'Look again.' };
    return answer;
  });
  return calls;
}

test('nothing begins before all is listened to', async () => {
  const calls: string[] = [];
  let listens = (): void => undefined;
  const listening = new Promise<number>((resolve) => {
    listens = () => resolve(1);
  });
  mockIPC((command) => {
    calls.push(command);
    return command === 'plugin:event|listen' ? listening : {};
  });
  tauriBridge.onNode(() => undefined);
  const started = tauriBridge.start();
  await new Promise((resolve) => queueMicrotask(() => resolve(null)));
  expect(calls).toEqual(['plugin:event|listen']);
  listens();
  await started;
  expect(calls).toEqual(['plugin:event|listen', 'start']);
});

test('a request goes out as it is and its reply comes back', async () => {
  const calls = shell({ request: { reply: 'done' } });
  const body = { request: 'install', device: 'kitchen.yaml', build: 'auto', port: 'ota' } as const;
  expect(await tauriBridge.request(body)).toEqual({ reply: 'done' });
  expect(calls).toEqual([['request', { body }]]);
});

test('a refusal keeps its code, sentence and next step', async () => {
  shell({ request: new Error('There is no device x.') });
  await expect(tauriBridge.request({ request: 'clean', device: 'x' })).rejects.toEqual({
    code: 'not_found',
    message: 'There is no device x.',
    hint: 'Look again.',
  });
});

test('whatever is thrown becomes a sentence', () => {
  expect(refusal('broken')).toEqual({ code: 'internal_error', message: 'broken', hint: '' });
  expect(refusal(new Error('worse'))).toEqual({ code: 'internal_error', message: 'worse', hint: '' });
});

test('a follow hands over a channel, gets its events, and ends by its number', async () => {
  const calls = shell({ follow: 7, unfollow: null });
  const seen: Event[] = [];
  const id = await tauriBridge.follow({ follow: 'log', job: 'j', offset: 12 }, (event) => seen.push(event));
  await tauriBridge.unfollow(id);
  expect(id).toBe(7);
  const [, { body, channel }] = calls[0] ?? ['', {}];
  expect(body).toEqual({ follow: 'log', job: 'j', offset: 12 });
  (channel as { onmessage: (event: Event) => void }).onmessage({ event: 'end' });
  expect(seen).toEqual([{ event: 'end' }]);
  expect(calls[1]).toEqual(['unfollow', { id: 7 }]);
});

test('the commands of the desktop have their names and arguments', async () => {
  const desktop = { start_at_login: 'on', language: 'system', notifications: 'on' };
  const calls = shell({ desktop_settings: desktop, diagnostics: { text: 'report' }, save_log: null });
  expect(await tauriBridge.desktopSettings()).toEqual(desktop);
  expect(await tauriBridge.diagnostics()).toBe('report');
  expect(await tauriBridge.saveLog('j', 'text')).toBeNull();
  await tauriBridge.setDesktopSetting('language', 'de');
  await tauriBridge.openFolder('logs');
  await tauriBridge.firstRunDone();
  await tauriBridge.closeHintSeen();
  await tauriBridge.start();
  expect(calls).toEqual([
    ['desktop_settings', {}],
    ['diagnostics', {}],
    ['save_log', { job: 'j', text: 'text' }],
    ['set_desktop_setting', { name: 'language', value: 'de' }],
    ['open_folder', { which: 'logs' }],
    ['first_run_done', {}],
    ['close_hint_seen', {}],
    ['start', {}],
  ]);
});
