// How much went to a host, in words. Pure.

import type { HostCounts } from '../backend';
import { bytes, number } from './words';

/** An amount for a list, and what it means; nothing went to a host that nobody let through. */
export function sized(
  { allowed }: Pick<HostCounts, 'allowed'>,
  amount: number | null,
): { text: string; title: string } {
  if (amount !== null) return { text: bytes(amount), title: `${number(amount)} bytes` };
  if (allowed === 0) return { text: '·', title: 'nothing' };
  return { text: '–', title: 'known when its session has ended' };
}
