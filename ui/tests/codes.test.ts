// The words of the node are known here: its settings have fields, and its codes have words in the messages.
// @vitest-environment node
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { editOf, namesOf } from '../src/lib/settings.ts';
import en from '../src/messages/en.json';

const MODEL = new URL('../../crates/model/src/', import.meta.url).pathname;

/** Returns the words of a `words!` list of the node, in its order. */
function wordsOf(file: string, list: string): string[] {
  const [, body = ''] = readFileSync(`${MODEL}${file}.rs`, 'utf8').split(`\n    ${list} {\n`);
  const [entries = ''] = body.split('\n    }\n');
  const words = [...entries.matchAll(/^ +\w+ = "([a-z_]+)",$/gm)].map((match) => match[1] ?? '');
  expect([list, words.length]).not.toEqual([list, 0]);
  return words;
}

/** Returns those that have no message `PREFIX.WORD`. */
function unsaid(prefix: string, words: string[]): string[] {
  return words.map((word) => `${prefix}.${word}`).filter((key) => !(key in en));
}

test('every setting of the node has its place, a name and an explanation', () => {
  const names = wordsOf('settings', 'SettingKey').filter((name) => name !== 'paused_until');
  expect(namesOf('other', Object.fromEntries(names.map((name) => [name, ''])))).toEqual([]);
  expect([...unsaid('setting', names), ...unsaid('help', names)]).toEqual([]);
});

test('every choice of a setting is offered, in words', () => {
  const lists = [
    ['version_policy', 'settings', 'VersionPolicy'],
    ['remote_sessions', 'settings', 'RemoteSessions'],
    ['while_in_use', 'settings', 'WhileInUse'],
    ['sandbox', 'sandbox', 'SandboxMode'],
  ] as const;
  for (const [name, file, list] of lists) {
    const values = wordsOf(file, list);
    expect([name, editOf(name, '')]).toEqual([name, { by: 'choice', values }]);
    expect(unsaid(name, values)).toEqual([]);
  }
});

test('every code that the node gives for a reason, an input, something stored or a fault has words', () => {
  const reasons = wordsOf('availability', 'AvailabilityReason');
  const closed = reasons.filter((reason) => reason !== 'ready');
  const missing = [
    unsaid('why', reasons),
    unsaid('away', closed),
    unsaid('ends', closed.filter((reason) => reason !== 'user_off')),
    unsaid('input', wordsOf('availability', 'Input')),
    unsaid('stored', wordsOf('storage', 'StoredKind')),
    unsaid('kept', wordsOf('storage', 'Kept')),
    unsaid('fault', wordsOf('audit', 'ChainFault')),
  ];
  expect(missing.flat()).toEqual([]);
});
