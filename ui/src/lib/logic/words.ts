// Times, counts and paths in words. Pure; the present comes in.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago: `just now`, `4 min ago`, `2 h ago`, `3 days ago`; also for what is to come. */
export function relative(time: string, now: number): string {
  const at = Date.parse(time);
  if (Number.isNaN(at)) return 'at an unknown time';
  const past = now - at;
  const amount = span(Math.abs(past));
  if (amount === null) return 'just now';
  return past < 0 ? `in ${amount}` : `${amount} ago`;
}

function span(milliseconds: number): string | null {
  if (milliseconds < 45 * SECOND) return null;
  if (milliseconds < 55 * MINUTE) return `${Math.max(1, Math.round(milliseconds / MINUTE))} min`;
  if (milliseconds < 23.5 * HOUR) return `${Math.max(1, Math.round(milliseconds / HOUR))} h`;
  const days = Math.max(1, Math.round(milliseconds / DAY));
  return days === 1 ? '1 day' : `${days} days`;
}

/** The exact local time, with the zone: `22 Nov 2026, 10:07:31 GMT+1`. */
export function exact(time: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  return new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  }).format(at);
}

/**
 * The last day before an instant: `31 January 2027`. A policy's day ends at midnight in UTC; any
 * other instant is told exactly.
 */
export function lastDay(time: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  if (!time.includes('T00:00:00')) return exact(time);
  return new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  }).format(at.getTime() - 1);
}

/** The local time of day to the second. */
export function clockTime(time: string): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return '';
  return new Intl.DateTimeFormat('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(at);
}

/** A length of time: `45 s`, `8 min 20 s`, `2 h 5 min`, `3 days 2 h`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / SECOND));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return join(`${minutes} min`, seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return join(`${hours} h`, minutes % 60, 'min');
  const days = Math.floor(hours / 24);
  return join(days === 1 ? '1 day' : `${days} days`, hours % 24, 'h');
}

function join(first: string, rest: number, unit: string): string {
  return rest === 0 ? first : `${first} ${rest} ${unit}`;
}

/** `1 request`, `4 requests`; with thousands separated by a thin space. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${number(amount)} ${amount === 1 ? one : many}`;
}

/** With thousands separated by a narrow no-break space. */
export function number(amount: number): string {
  return Math.round(amount)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Bytes to three digits at most, in binary units: `999 B`, `1.5 KiB`, `12 MiB`. */
export function bytes(amount: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = amount;
  let unit = 0;
  while (size >= 1_000 && unit + 1 < units.length) {
    size /= 1_024;
    unit += 1;
  }
  const shown = unit > 0 && size < 10 ? (Math.floor(size * 10) / 10).toFixed(1) : Math.floor(size);
  return `${shown} ${units[unit]}`;
}

/**
 * A path shortened from the left at a separator so that it has at most `room` characters; the
 * last part always stays whole.
 */
export function shortPath(path: string, room: number): string {
  if (path.length <= room) return path;
  const separator = path.includes('\\') && !path.includes('/') ? '\\' : '/';
  const parts = path.split(separator);
  let kept = parts.pop() ?? '';
  if (kept === '' && parts.length > 0) kept = `${parts.pop()}${separator}`;
  while (parts.length > 0) {
    const longer = `${parts[parts.length - 1]}${separator}${kept}`;
    if (longer.length + 2 > room) break;
    kept = longer;
    parts.pop();
  }
  return parts.length === 0 ? kept : `…${separator}${kept}`;
}
