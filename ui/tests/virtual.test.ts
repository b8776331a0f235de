// Of a long list, exactly what is seen is drawn, with some rows around it.
import { expect, test } from 'vitest';

import { reveal, visible } from '../src/lib/virtual.ts';

test('rows in sight are drawn, with a few around', () => {
  expect(visible(1000, 20, 2000, 200, 2)).toEqual({ from: 98, to: 112 });
});

test('at both ends nothing beyond the list is drawn', () => {
  expect(visible(100, 20, 0, 200)).toEqual({ from: 0, to: 18 });
  expect(visible(100, 20, 1_000_000, 200)).toEqual({ from: 100, to: 100 });
  expect(visible(5, 20, -50, 200)).toEqual({ from: 0, to: 5 });
});

test('without rows or before anything is measured nothing is drawn', () => {
  expect(visible(0, 20, 0, 200)).toEqual({ from: 0, to: 0 });
  expect(visible(100, 0, 0, 200)).toEqual({ from: 0, to: 0 });
});

test('the number of drawn rows does not grow with the list', () => {
  const small = visible(200, 20, 400, 600);
  const large = visible(100_000, 20, 400, 600);
  expect(large).toEqual(small);
});

test('a row is scrolled to only if it is out of sight', () => {
  expect(reveal(5, 20, 0, 200)).toBe(0);
  expect(reveal(2, 20, 100, 200)).toBe(40);
  expect(reveal(20, 20, 0, 200)).toBe(220);
});
