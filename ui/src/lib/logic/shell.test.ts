import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { shellLine } from './shell';

describe('a command as one line', () => {
  it.each([
    [['git', 'push', 'origin', 'main'], 'git push origin main'],
    [['sh', '-c', 'echo hi && ls'], "sh -c 'echo hi && ls'"],
    [['echo', "it's"], "echo 'it'\\''s'"],
    [['echo', ''], "echo ''"],
    [['FOO=~/x', '~root'], "'FOO=~/x' '~root'"],
    [['a', '$(rm -rf ~)', '`id`', '*'], "a '$(rm -rf ~)' '`id`' '*'"],
  ])('writes %j', (argv, line) => {
    expect(shellLine(argv)).toBe(line);
  });

  it('is read back by a shell as the same arguments', () => {
    const argv = [
      'a b',
      "it's",
      '"',
      '\\',
      '$HOME',
      '!x',
      '#',
      ';',
      '~',
      'x=~',
      'é',
      '\n',
      '{a,b}',
    ];
    const read = execFileSync('sh', ['-c', `printf '%s\\0' ${shellLine(argv)}`], {
      encoding: 'utf8',
    });
    expect(read.split('\0').slice(0, -1)).toEqual(argv);
  });
});
