// Words for people: messages in the chosen language, times, sizes.
import type en from '../messages/en.json';

import { GLYPHS, emojiIndices } from './emoji.ts';
import type { Language, Said, SaidValue, Time } from './model.ts';
import { safe } from './safe.ts';

export type Key = keyof typeof en;
type Values = Record<string, string | number>;

/** Only the language that is spoken is loaded. */
const FILES: Record<Language, () => Promise<{ default: Record<string, string> }>> = {
  en: () => import('../messages/en.json'),
  de: () => import('../messages/de.json'),
};

/** What the node says, by code; it says English itself. */
const SAID: Record<Language, () => Promise<{ default: Record<string, string> }>> = {
  en: () => Promise.resolve({ default: {} }),
  de: () => import('../../../crates/glance/messages/said.de.json'),
};

class Words {
  language = $state<Language>('en');
  messages = $state.raw<Record<string, string>>({});
  said = $state.raw<Record<string, string>>({});
}

const words = new Words();

/** Changes the language of everything that is shown. */
export async function speak(language: Language): Promise<void> {
  if (document.documentElement.lang === language && 'nav' in words.messages) return;
  const [messages, sentences] = await Promise.all([FILES[language](), SAID[language]()]);
  words.messages = messages.default;
  words.said = sentences.default;
  words.language = language;
  document.documentElement.lang = language;
}

/** Returns the language of the system, or English if there are no messages in it. */
export function systemLanguage(): Language {
  return navigator.language.startsWith('de') ? 'de' : 'en';
}

/** Letters of scripts that are written from right to left. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Returns a value so that a sentence around it keeps its order: what is written from right to left stands for itself. */
export function isolated(text: string): string {
  return RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text;
}

/** Returns a template with each `{name}` replaced by its value; one without a value stays. */
function fill(template: string, value: (name: string) => string | undefined): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const found = value(name);
    return found === undefined ? whole : isolated(found);
  });
}

/** Returns the message `key` with `{name}` replaced by values. */
export function t(key: Key, values: Values = {}): string {
  return fill(words.messages[key] ?? key, (name) => values[name]?.toString());
}

/** Returns what the node says in the language that is spoken: its English where there are no words for it. What it quotes of others is made harmless to read. */
export function said(text: string, of?: Said | null): string {
  const template = of ? words.said[of.code] : undefined;
  if (template !== undefined) return fill(template, (name) => value(of?.values?.[name]));
  // The English is filled already.
  const names = new Set(of ? quoted(of).map(safe).filter((name) => isolated(name) !== name) : []);
  return [...names].reduce((english, name) => english.replaceAll(name, () => isolated(name)), safe(text));
}

function value(of: SaidValue | undefined): string {
  return typeof of === 'object' ? said(of.text, of) : safe(of ?? '');
}

/** Returns what a sentence quotes of others. */
function quoted(of: Said): string[] {
  return Object.values(of.values ?? {}).flatMap((one) => (typeof one === 'string' ? one : quoted(one)));
}

/** Returns the message for a code of the node, or the code itself if there is no word for it. */
export function code(prefix: string, value: string): string {
  return words.messages[`${prefix}.${value}`] ?? value;
}

/** Tells whether there is a message for a code of the node. */
export function hasCode(prefix: string, value: string): boolean {
  return `${prefix}.${value}` in words.messages;
}

/** Returns `KEY.one` or `KEY.other`, as the language counts. */
export function count(key: string, n: number, values: Values = {}): string {
  const form = new Intl.PluralRules(words.language).select(n) === 'one' ? 'one' : 'other';
  return t(`${key}.${form}` as Key, { n: number(n), ...values });
}

export function number(n: number, digits = 0): string {
  return n.toLocaleString(words.language, { maximumFractionDigits: digits });
}

/** Returns the seven emoji of a pin with their names. */
export function pinEmoji(pin: string): { glyph: string; name: string }[] {
  const names = t('emoji.names').split(', ');
  return emojiIndices(pin).map((i) => ({ glyph: GLYPHS[i] ?? '', name: names[i] ?? '' }));
}

/** Returns seconds as at most two units: "42 s", "3 min 12 s", "1 h 5 min". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t('time.s', { s });
  if (s < 3600) return t('time.min', { m: Math.floor(s / 60), s: s % 60 });
  return t('time.h', { h: Math.floor(s / 3600), m: Math.floor(s / 60) % 60 });
}

/** Returns the time of day. */
export function clockTime(at: Time): string {
  return new Date(at * 1000).toLocaleTimeString(words.language, {
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** Returns date and time. */
export function dateTime(at: Time): string {
  return new Date(at * 1000).toLocaleString(words.language, {
    dateStyle: 'medium',
    timeStyle: 'short',
  });
}

/** Returns how long ago something was: "just now", "5 minutes ago", "yesterday". */
export function ago(at: Time, now: Time, style: 'long' | 'narrow' = 'long'): string {
  const s = Math.max(0, now - at);
  if (s < 45) return t('time.now');
  const relative = new Intl.RelativeTimeFormat(words.language, { numeric: 'auto', style });
  if (s < 3600) return relative.format(-Math.round(s / 60), 'minute');
  if (s < 86_400) return relative.format(-Math.round(s / 3600), 'hour');
  return relative.format(-Math.round(s / 86_400), 'day');
}

/** Returns when something will be: a time of day, with the day if it is not today. */
export function upcoming(at: Time, now: Time): string {
  const then = new Date(at * 1000);
  if (then.toDateString() === new Date(now * 1000).toDateString()) return clockTime(at);
  return then.toLocaleString(words.language, {
    weekday: 'long',
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** Returns bytes with a decimal unit. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${number(bytes / 1e3)} kB`;
  if (bytes < 1e9) return `${number(bytes / 1e6)} MB`;
  return `${number(bytes / 1e9, 1)} GB`;
}
