// Versions are read, ordered and compared as by the node and the tray.
import { expect, test } from 'vitest';

import { isOlder, isVersion, orderKey } from '../src/lib/version.ts';
import builds from '../../tests/vectors/build-vectors.json';
import versions from '../../tests/vectors/versions.json';

test('every version shape of the vectors is read and ordered as the node does', () => {
  expect(builds.version_shape.length).toBeGreaterThan(10);
  for (const { version, pep440, order_key } of builds.version_shape) {
    const key = orderKey(version);
    const plain = key && [key[0].map(Number), key[1], key[2], Number(key[3])];
    expect([version, isVersion(version), plain]).toEqual([version, pep440, order_key]);
  }
});

test('what is no version, or too long for one, is none', () => {
  for (const row of versions.strings) {
    if (typeof row.in === 'string') expect([row.in, isVersion(row.in)]).toEqual([row.in, row.coerced !== '']);
  }
  expect([isVersion('1'.repeat(64)), isVersion('1'.repeat(65)), isVersion('٢٠٢٦.١')]).toEqual([true, false, false]);
});

test('alpha, beta and candidate come before their release, each by its number', () => {
  const order = ['2026.9.9', '2026.10.0a9', '2026.10.0b2', '2026.10.0b3', '2026.10.0b10', '2026.10.0rc1', '2026.10', '2026.10.1'];
  for (const [i, one] of order.entries()) {
    for (const [j, other] of order.entries()) expect([one, other, isOlder(one, other)]).toEqual([one, other, i < j]);
  }
  expect(isOlder('2026.6', '2026.6.0')).toBe(false);
  expect(isOlder('2026.06', '2026.6')).toBe(false);
});

test('a version of development has no place in the order: it is not the same, so it is outdated', () => {
  expect(isOlder('2026.11.0-dev', '2026.10.0')).toBe(true);
  expect(isOlder('2026.10.0', '2026.11.0-dev')).toBe(true);
  expect(isOlder('2026.11.0-dev', '2026.11.0-dev')).toBe(false);
});

test('a device that never told its version is not outdated, nor is one when nothing is installed', () => {
  expect([isOlder('', '2026.10.0'), isOlder('2026.10.0', ''), isOlder('unknown', '2026.10.0')]).toEqual([false, false, false]);
});
