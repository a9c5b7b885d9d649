// Which hosts of a request an answer is for. Pure.

import type { AskedHost } from '../backend';

/** What a person has ticked and unticked since the card appeared, by name. */
export type Ticked = ReadonlyMap<string, boolean>;

/** The hosts that wait for an answer. */
export function waiting(hosts: readonly AskedHost[]): AskedHost[] {
  return hosts.filter(({ verdict }) => verdict === null);
}

export function isChosen(host: AskedHost, ticked: Ticked): boolean {
  return ticked.get(host.name) ?? host.chosen;
}

/** The hosts that an allow is for, and those that it denies: the only one needs no tick. */
export function answered(
  hosts: readonly AskedHost[],
  ticked: Ticked,
): { hosts: string[]; denied: string[] } {
  const open = waiting(hosts);
  const yes = hosts.length === 1 ? open : open.filter((host) => isChosen(host, ticked));
  const name = (host: AskedHost) => host.name;
  return { hosts: yes.map(name), denied: open.filter((host) => !yes.includes(host)).map(name) };
}

/** A command in few words, for a button: the whole stands elsewhere. */
export function short(command: string, room = 28): string {
  return command.length <= room ? command : `${command.slice(0, room - 1).trimEnd()}…`;
}
