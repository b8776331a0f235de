// The one door to the node: the commands of `kiln-window`, or invented data for development and tests.
import { Channel, invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';

import type {
  DesktopSettings,
  Event,
  FollowBody,
  Goal,
  NodeState,
  Refusal,
  Reply,
  Request,
  Start,
} from './model.ts';

/** What the window needs from outside. Every promise rejects with a `Refusal`. */
export interface Bridge {
  start(): Promise<Start>;
  request(body: Request): Promise<Reply>;
  /** Returns the number that `unfollow` takes. */
  follow(body: FollowBody, on: (event: Event) => void): Promise<number>;
  unfollow(id: number): Promise<void>;
  onOpen(on: (goal: Goal) => void): void;
  onNode(on: (state: NodeState) => void): void;
  onTray(on: (tray: Start['tray']) => void): void;
  onNotifications(on: (notifications: Start['notifications']) => void): void;
  /** What a click in the tray asked for and was not done, when no notification could say so. */
  onRefused(on: (message: string) => void): void;
  desktopSettings(): Promise<DesktopSettings>;
  setDesktopSetting(name: keyof DesktopSettings, value: string): Promise<void>;
  firstRunDone(): Promise<void>;
  /** Notes that it was said that Kiln goes on when its window closes. */
  closeHintSeen(): Promise<void>;
  /** Tries at once what keeps the node from beginning. */
  tryAgain(): Promise<void>;
  diagnostics(): Promise<string>;
  openFolder(which: 'logs' | 'esphome'): Promise<void>;
  /** Returns where it was saved, or null if nobody chose a place. */
  saveLog(job: string, text: string): Promise<string | null>;
}

/** Makes a refusal of whatever was thrown, so that every failure can be shown as a sentence. */
export function refusal(thrown: unknown): Refusal {
  if (typeof thrown === 'object' && thrown !== null && 'message' in thrown) {
    const { code, message, message_words, hint, hint_words } = thrown as Partial<Refusal>;
    return { code: code ?? 'internal_error', message: String(message), message_words, hint: hint ?? '', hint_words };
  }
  return { code: 'internal_error', message: String(thrown), hint: '' };
}

async function call<T>(command: string, args?: Record<string, unknown>): Promise<T> {
  try {
    return await invoke<T>(command, args);
  } catch (thrown) {
    throw refusal(thrown);
  }
}

/** What is about to be heard. */
const hearing: Promise<unknown>[] = [];

function hear<T>(name: string, on: (said: T) => void): void {
  hearing.push(listen<T>(name, (event) => on(event.payload)));
}

/** The bridge of the real window. */
export const tauriBridge: Bridge = {
  start: async () => {
    // The answer brings what was said before; nobody would say it again.
    await Promise.allSettled(hearing);
    return call('start');
  },
  request: (body) => call('request', { body }),
  follow: (body, on) => {
    const channel = new Channel<Event>();
    channel.onmessage = on;
    return call('follow', { body, channel });
  },
  unfollow: (id) => call('unfollow', { id }),
  onOpen: (on) => hear<Goal>('open', on),
  onNode: (on) => hear<NodeState>('node', on),
  onTray: (on) => hear<Start['tray']>('tray', on),
  onNotifications: (on) => hear<Start['notifications']>('notifications', on),
  onRefused: (on) => hear<string>('refused', on),
  desktopSettings: () => call('desktop_settings'),
  setDesktopSetting: (name, value) => call('set_desktop_setting', { name, value }),
  firstRunDone: () => call('first_run_done'),
  closeHintSeen: () => call('close_hint_seen'),
  tryAgain: () => call('try_again'),
  diagnostics: async () => (await call<{ text: string }>('diagnostics')).text,
  openFolder: (which) => call('open_folder', { which }),
  saveLog: (job, text) => call('save_log', { job, text }),
};
