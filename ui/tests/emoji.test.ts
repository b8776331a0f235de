// The emoji of a pin are those of every other dashboard.
// @vitest-environment node
import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

import { GLYPHS, emojiIndices, grouped } from '../src/lib/emoji.ts';
import en from '../src/messages/en.json';

interface Vectors {
  sas_table: { emoji: string; name: string }[];
  cases: { pin_sha256: string; pin_formatted?: string; emoji_indices: number[]; emoji: string }[];
}
const vectors = JSON.parse(
  readFileSync(new URL('../../tests/vectors/identity.json', import.meta.url), 'utf8'),
) as Vectors;

test('the table is the one of the vectors, glyphs and English names', () => {
  expect(GLYPHS).toEqual(vectors.sas_table.map((row) => row.emoji));
  expect(en['emoji.names'].split(', ')).toEqual(vectors.sas_table.map((row) => row.name));
});

test('every pin of the vectors shows its emoji and its digits in pairs', () => {
  expect(vectors.cases.length).toBeGreaterThan(0);
  for (const { pin_sha256: pin, pin_formatted: pairs, emoji_indices: indices, emoji } of vectors.cases) {
    expect(emojiIndices(pin)).toEqual(indices);
    expect(emojiIndices(pin).map((i) => GLYPHS[i]).join(' ')).toBe(emoji);
    if (pairs !== undefined) expect(grouped(pin).join(' ')).toBe(pairs);
  }
});
