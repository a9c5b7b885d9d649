// A recorded policy: layers, values, and answers to why.

import type { Origin, Question, Rules, Why } from '../backend';

export const BUILT_IN: Origin = { kind: 'built-in', locator: 'defaults' };
export const MANAGED: Origin = {
  kind: 'managed-file',
  locator: '/etc/chaperone/policy.d/20-acme.toml:14',
};

export function makeRules(managed: boolean, broken: boolean): Rules {
  const user: Origin = { kind: 'user-file', locator: '/home/ada/.config/chaperone/config.toml:3' };
  const layers: Rules['layers'] = [
    {
      kind: 'managed-file',
      locator: '/etc/chaperone/policy.d/20-acme.toml',
      class: 'managed',
      status: managed ? 'present' : 'absent',
      detail: managed ? 'Revision 42.' : 'Nobody manages this laptop.',
    },
    {
      kind: 'workspace-file',
      locator: '/home/ada/work/api/.chaperone.toml',
      class: 'workspace',
      status: 'present',
      detail: 'It may only restrict.',
    },
    {
      kind: 'user-file',
      locator: '/home/ada/.config/chaperone/config.toml',
      class: 'base',
      status: broken ? 'invalid' : 'present',
      detail: broken
        ? 'Line 7: network.mode: expected "none", "proxy" or "direct", found "open".'
        : '',
    },
    { kind: 'built-in', locator: 'defaults', class: 'base', status: 'present', detail: '' },
  ];
  const values: Rules['values'] = [
    {
      key: 'approvals.expires',
      value: '10m',
      origins: [BUILT_IN],
      merge: 'shortest',
      status: 'ok',
      losers: [],
    },
    {
      key: 'approvals.scopes',
      value: managed ? ['once'] : ['once', 'session'],
      origins: [
        managed ? { ...MANAGED, locator: '/etc/chaperone/policy.d/20-acme.toml:31' } : BUILT_IN,
      ],
      merge: 'intersection',
      status: 'ok',
      losers: managed
        ? [
            {
              value: ['once', 'session'],
              kind: 'built-in',
              locator: 'defaults',
              reason: 'A managed layer takes scopes away.',
            },
          ]
        : [],
    },
    {
      key: 'approvals.unattended',
      value: 'deny',
      origins: [BUILT_IN],
      merge: 'strictest',
      status: 'ok',
      losers: [],
    },
    {
      key: 'commands.closed',
      value: false,
      origins: [BUILT_IN],
      merge: 'strictest',
      status: 'ok',
      losers: [],
    },
    {
      key: 'commands.rule',
      value: [
        { prefix: ['git', 'push'], decision: 'ask', reason: 'Publishes work.' },
        { prefix: ['npm', 'publish'], decision: 'ask', reason: 'Publishes a package.' },
        { prefix: ['cargo', 'publish'], decision: 'ask', reason: 'Publishes a package.' },
      ],
      origins: managed ? [MANAGED, BUILT_IN] : [BUILT_IN],
      merge: 'rules',
      status: 'ok',
      losers: [],
    },
    {
      key: 'environment.deny',
      value: ['*TOKEN*', '*SECRET*', 'AWS_*'],
      origins: [BUILT_IN],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'environment.pass',
      value: ['RUST_LOG'],
      origins: [user],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'filesystem.deny',
      value: ['~/.ssh', '~/.kube', '**/secrets/**'],
      origins: [BUILT_IN, user],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'filesystem.deny_write',
      value: ['.git/hooks', '.chaperone.toml', 'infra/**'],
      origins: [BUILT_IN],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'filesystem.read',
      value: ['~/reference-docs'],
      origins: [user],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'filesystem.write',
      value: [],
      origins: [BUILT_IN],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'limits.memory',
      value: '8 GiB',
      origins: [user],
      merge: 'smallest',
      status: 'ok',
      losers: [
        { value: null, kind: 'built-in', locator: 'defaults', reason: 'The user file chooses.' },
      ],
    },
    {
      key: 'limits.processes',
      value: 4096,
      origins: [BUILT_IN],
      merge: 'smallest',
      status: 'ok',
      losers: [],
    },
    {
      key: 'network.allow',
      value: ['crates', 'npm', '*.acme.example'],
      origins: [BUILT_IN, user],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'network.closed',
      value: false,
      origins: [BUILT_IN],
      merge: 'strictest',
      status: 'ok',
      losers: [],
    },
    {
      key: 'network.deny',
      value: ['paste.example'],
      origins: [managed ? MANAGED : user],
      merge: 'union',
      status: 'ok',
      losers: [],
    },
    {
      key: 'network.mode',
      value: 'none',
      origins: [managed ? MANAGED : BUILT_IN],
      merge: 'strictest',
      status: broken ? "The user file's value is invalid and dropped." : 'ok',
      losers:
        broken || managed
          ? [
              {
                value: broken ? 'open' : 'direct',
                ...user,
                reason: broken ? 'It is not a mode.' : 'A managed layer is stricter.',
              },
            ]
          : [],
    },
    {
      key: 'revision',
      value: managed ? '42' : null,
      origins: [managed ? MANAGED : BUILT_IN],
      merge: 'override',
      status: 'ok',
      losers: [],
    },
    {
      key: 'sandbox.minimum_tier',
      value: managed ? 'full' : 'reduced',
      origins: [managed ? MANAGED : BUILT_IN],
      merge: 'strictest',
      status: 'ok',
      losers: [],
    },
  ];
  return { layers, values };
}

export function makeWhy(question: Question, managed: boolean): Why {
  const push = /\bgit push\b/.test(question.text);
  const secret = /\.ssh|secret/.test(question.text);
  return {
    understood: `${question.about === 'command' ? 'run' : question.about === 'host' ? 'connect to' : question.about} ${question.text}`,
    decision: secret
      ? {
          decision: 'deny',
          rule: 'filesystem.deny ~/.ssh',
          origin: BUILT_IN,
          reason: 'Keys and sign-ins of your home are hidden from agents.',
        }
      : push
        ? {
            decision: 'ask',
            rule: 'commands.rule git push',
            origin: managed ? MANAGED : BUILT_IN,
            reason: 'Publishes work.',
          }
        : {
            decision: 'allow',
            rule: null,
            origin: BUILT_IN,
            reason: 'Nothing forbids it inside the sandbox.',
          },
    change: push
      ? managed
        ? 'Only Acme can change this: a managed restriction asks.'
        : 'An allow rule for git push in /home/ada/.config/chaperone/config.toml, or an answer for the session.'
      : secret
        ? 'A grant in filesystem.read of your own file, as long as no managed layer denies it.'
        : 'A rule that asks or denies, in any layer.',
  };
}
