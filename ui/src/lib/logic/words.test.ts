import { describe, expect, it } from 'vitest';
import { bytes, count, duration, exact, lastDay, number, relative, shortPath } from './words';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const before = (milliseconds: number) => new Date(NOW - milliseconds).toISOString();

describe('times', () => {
  it('end with the last day before midnight, and with any other instant itself', () => {
    expect(lastDay('2027-02-01T00:00:00Z')).toBe('31 January 2027');
    expect(lastDay('2027-02-01T09:30:00Z')).toBe(exact('2027-02-01T09:30:00Z'));
    expect(lastDay('soon')).toBe('soon');
  });

  it.each([
    [0, 'just now'],
    [44_000, 'just now'],
    [46_000, '1 min ago'],
    [4 * 60_000, '4 min ago'],
    [56 * 60_000, '1 h ago'],
    [2 * 3_600_000, '2 h ago'],
    [23.6 * 3_600_000, '1 day ago'],
    [72 * 3_600_000, '3 days ago'],
    [-120_000, 'in 2 min'],
  ])('%d ms before now is "%s"', (milliseconds, words) => {
    expect(relative(before(milliseconds), NOW)).toBe(words);
  });

  it('says so when a time cannot be read', () => {
    expect(relative('soon', NOW)).toBe('at an unknown time');
  });

  it('reads times with nanoseconds', () => {
    expect(relative('2026-11-22T11:58:00.123456789Z', NOW)).toBe('2 min ago');
  });

  it.each([
    [-5, '0 s'],
    [900, '1 s'],
    [59_000, '59 s'],
    [60_000, '1 min'],
    [500_000, '8 min 20 s'],
    [7_500_000, '2 h 5 min'],
    [90_000_000, '1 day 1 h'],
  ])('%d ms last "%s"', (milliseconds, words) => {
    expect(duration(milliseconds)).toBe(words);
  });
});

describe('counts', () => {
  it('know one from many, and separate thousands', () => {
    expect(count(1, 'request')).toBe('1 request');
    expect(count(0, 'request')).toBe('0 requests');
    expect(count(2, 'reply', 'replies')).toBe('2 replies');
    expect(number(1_234_567)).toBe('1\u202f234\u202f567');
    expect(number(999)).toBe('999');
  });
});

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '0.9 KiB'],
    [1_536, '1.5 KiB'],
    [10 * 1_024, '10 KiB'],
    [5 * 1_024 ** 3, '5.0 GiB'],
  ])('%d are %s', (amount, words) => {
    expect(bytes(amount)).toBe(words);
  });
});

describe('paths', () => {
  it.each([
    ['/home/ada/work/api', 40, '/home/ada/work/api'],
    ['/home/ada/work/clients/acme/api', 16, '…/acme/api'],
    ['/home/ada/work/clients/acme/api/', 16, '…/acme/api/'],
    ['/a/an-extraordinarily-long-file-name.txt', 10, '…/an-extraordinarily-long-file-name.txt'],
    ['C:\\Users\\ada\\work\\api', 14, '…\\ada\\work\\api'],
    ['an-extraordinarily-long-name', 10, 'an-extraordinarily-long-name'],
  ])('%s in %d characters is %s', (path, room, short) => {
    expect(shortPath(path, room)).toBe(short);
  });
});
