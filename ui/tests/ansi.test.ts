// A log is read as a terminal would show it, however it is cut, and nothing in it acts.
import { expect, test } from 'vitest';

import { Log, pieces, plain } from '../src/lib/ansi.ts';
import { log as invented } from '../src/lib/mock.ts';

const E = '\u001b[';

function lines(log: Log): string[] {
  return Array.from({ length: log.length }, (_, i) => log.text(i));
}

test('colours begin, change and end', () => {
  const found = pieces(`a${E}32mgreen${E}1;31mred${E}0mb${E}94mbright${E}39mc`).pieces;
  expect(found.map(({ text, colour, bold }) => [text, colour, bold])).toEqual([
    ['a', -1, false],
    ['green', 2, false],
    ['red', 1, true],
    ['b', -1, false],
    ['bright', 12, false],
    ['c', -1, false],
  ]);
});

test('a colour that no theme can promise to be readable is left out, and its numbers are no colours', () => {
  expect(pieces(`${E}38;5;3ma${E}38;5;200mb${E}38;2;1;31;1mc${E}48;5;31md`).pieces.map((p) => p.colour)).toEqual([
    3, -1, -1, -1,
  ]);
});

test('a colour goes on over the end of the line', () => {
  const log = new Log();
  log.append(`${E}33mone\ntwo\n${E}0mthree\nfour\n`);
  expect([0, 1, 2, 3].map((i) => log.line(i)[0]?.colour)).toEqual([3, 3, -1, -1]);
});

test('a carriage return writes over the line, and before a line end it is none', () => {
  const log = new Log();
  log.append('10 %\r20 %\r');
  expect(lines(log)).toEqual(['20 %']);
  log.append('done\r\nnext\r\n\nlast');
  expect(lines(log)).toEqual(['done', 'next', '', 'last']);
});

test('escapes that ESPHome writes as words are escapes', () => {
  const log = new Log();
  log.append('\\033[32mINFO ready\\033[0m\nC:\\0\\033\n');
  expect(log.line(0)).toEqual([{ text: 'INFO ready', colour: 2, bold: false, dim: false }]);
  expect(lines(log)).toEqual(['INFO ready', 'C:\\0\\033']);
});

test('cut anywhere, a log is the same', () => {
  const text = `a\r${E}1;32mb${E}0m\r\n\\033[33me\\033[0m\nc\u001b]0;title\u0007d\n${invented(60)}`;
  const whole = new Log();
  whole.append(text);
  for (const size of [1, 2, 3, 7]) {
    const cut = new Log();
    for (let at = 0; at < text.length; at += size) cut.append(text.slice(at, at + size));
    expect(lines(cut)).toEqual(lines(whole));
    expect(cut.line(0)).toEqual(whole.line(0));
  }
});

test('sequences that move, rename or link are dropped', () => {
  expect(plain(`a${E}2Kb${E}1A${E}?25lc\u001b]8;;http://x\u001b\\d\u001bMe\u0007\u0000f`)).toBe('abcdef');
});

test('markup stays text', () => {
  expect(pieces('<img src=x onerror=alert(1)>').pieces).toEqual([
    { text: '<img src=x onerror=alert(1)>', colour: -1, bold: false, dim: false },
  ]);
});

test('a line without an end is cut, and digits without an end are no sequence', () => {
  const log = new Log();
  for (let i = 0; i < 100; i += 1) log.append('x'.repeat(1000));
  expect(log.length).toBe(6);
  expect(log.all().replaceAll('\n', '')).toHaveLength(100_000);
  const digits = new Log();
  for (let i = 0; i < 100; i += 1) digits.append(i === 0 ? `${E}[` : '1'.repeat(100));
  expect(digits.text(0).length).toBeGreaterThan(9_000);
});

test('words are found with their lines, capitals or not', () => {
  const log = new Log();
  log.append(`one\n${E}31mErr${E}0mor\nERROR`);
  expect(log.find('error')).toEqual([1, 2]);
  expect(log.find('error', 2)).toEqual([2]);
  expect(log.find('')).toEqual([]);
});

test('a saved log has no colours and ends with a line end', () => {
  const log = new Log();
  log.append(`${E}31mone${E}0m\ntwo`);
  expect(log.all()).toBe('one\ntwo\n');
  expect(new Log().all()).toBe('');
});

test('a hundred thousand lines are kept and the last can be read', () => {
  const log = new Log();
  log.append(invented(100_000));
  expect(log.length).toBeGreaterThanOrEqual(100_000);
  expect(log.text(log.length - 1)).toContain('SUCCESS');
});
