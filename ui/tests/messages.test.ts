// Every message exists in both languages, with the same values, and every one is used.
// @vitest-environment node
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import de from '../src/messages/de.json';
import en from '../src/messages/en.json';

const ROOT = new URL('../src/', import.meta.url).pathname;
const SOURCE = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(ts|svelte)$/.test(name))
  .map((name) => readFileSync(join(ROOT, name), 'utf8'))
  .join('\n');

/** Keys that are written out, and beginnings and ends of those that are put together. */
const LITERALS = new Set([...SOURCE.matchAll(/['`]([a-z_]+(?:\.[A-Za-z0-9_ ]+)*)['`]/g)].map((m) => m[1] ?? ''));
const PATTERNS = [...SOURCE.matchAll(/`([a-z_]+\.[^`]*\$\{[^`]*)`/g)].map((match) => {
  const shape = (match[1] ?? '').replace(/\$\{[^}]*\}/g, '\u0000').replace(/[.]/g, '\\.');
  return new RegExp(`^${shape.replaceAll('\u0000', '[^.]+')}$`);
});
/** First words that are handed to `code(prefix, …)` and `count(key, …)`. */
const PREFIXES = new Set([...SOURCE.matchAll(/(?:code|hasCode)\(\s*'([a-z_]+)'/g)].map((m) => m[1] ?? ''));
const COUNTED = new Set([...SOURCE.matchAll(/count\(\s*['`]([^'`]+)['`]/g)].map((m) => m[1] ?? ''));

function isUsed(key: string): boolean {
  const form = key.match(/^(.*)\.(one|other)$/);
  if (form && COUNTED.has(form[1] ?? '')) return true;
  if (form && [...COUNTED].some((name) => name.includes('${') && new RegExp(`^${name.replace(/\$\{[^}]*\}/g, '[^.]+')}$`).test(form[1] ?? ''))) return true;
  const [first = ''] = key.split('.');
  return LITERALS.has(key) || PREFIXES.has(first) || ['version_policy', 'remote_sessions', 'while_in_use', 'sandbox'].includes(first) || PATTERNS.some((shape) => shape.test(key));
}

function values(message: string): string[] {
  return [...message.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? '').sort();
}

test('both languages have the same messages with the same values', () => {
  expect(Object.keys(de)).toEqual(Object.keys(en));
  for (const [key, message] of Object.entries(en)) {
    expect([key, ...values(de[key as keyof typeof de])]).toEqual([key, ...values(message)]);
  }
});

test('no message is empty, and the 64 emoji have 64 names', () => {
  for (const messages of [en, de]) {
    for (const [key, message] of Object.entries(messages)) expect([key, message.trim()]).not.toEqual([key, '']);
    expect(messages['emoji.names'].split(', ')).toHaveLength(64);
  }
});

test('every message is used', () => {
  expect(Object.keys(en).filter((key) => !isUsed(key))).toEqual([]);
});

test('every message that is asked for by its key exists', () => {
  const asked = [...SOURCE.matchAll(/\bt\(\s*'([^']+)'/g)].map((m) => m[1] ?? '');
  const counted = [...COUNTED].filter((key) => !key.includes('$')).flatMap((key) => [`${key}.one`, `${key}.other`]);
  expect(asked.length).toBeGreaterThan(200);
  expect([...asked, ...counted].filter((key) => !(key in en))).toEqual([]);
});

test('nothing that people read is written outside of the message files', () => {
  const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.svelte'));
  const names = ['Kiln', 'English', 'Deutsch', 'ESPHome', 'Home Assistant'];
  const found: string[] = [];
  for (const name of files) {
    const markup = readFileSync(join(ROOT, name), 'utf8')
      .replace(/<(script|style)[\s\S]*?<\/\1>/g, '')
      .replace(/<!--[\s\S]*?-->/g, '');
    let depth = 0;
    let text = '';
    for (const c of markup) {
      if (c === '{') depth += 1;
      if (depth === 0) text += c;
      if (c === '}') depth -= 1;
    }
    const seen = text.replace(/<[^>]*>/g, '\n').match(/[A-Za-zäöüß]{3,}[^\n]*/g) ?? [];
    found.push(...seen.map((word) => word.trim()).filter((word) => !names.includes(word)).map((word) => `${name}: ${word}`));
  }
  expect(found).toEqual([]);
});

test('the first line of every file says what it is for', () => {
  const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(ts|svelte|css)$/.test(name));
  for (const name of files) {
    const [first = ''] = readFileSync(join(ROOT, name), 'utf8').split('\n');
    expect([name, first]).toEqual([name, expect.stringMatching(/^(\/\/ |<!-- |\/\* ).{12,}/)]);
  }
});
