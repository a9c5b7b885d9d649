// Writes an argument list as one line of shell, for reading and copying. Pure.

const SAFE = /^[A-Za-z0-9_@%+=:,./^~-]+$/;

/** One argument, quoted where a shell would read it as anything but itself. */
export function quote(argument: string): string {
  // A tilde is expanded only at the beginning of a word or after `=` or `:`.
  if (SAFE.test(argument) && !/^~|[=:]~/.test(argument)) return argument;
  if (!argument.includes("'")) return `'${argument}'`;
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** The whole command in one line that a shell would read back as the same arguments. */
export function shellLine(argv: readonly string[]): string {
  return argv.map(quote).join(' ');
}
