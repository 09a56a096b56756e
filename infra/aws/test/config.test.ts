import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ConfigProblem, parseConfig } from '../lib/config.ts';
import { isArm } from '../lib/gateways.ts';

const example = JSON.parse(readFileSync(new URL('../postern.config.example.json', import.meta.url), 'utf8')) as object;
const problemsOf = (change: object): string => {
  try {
    parseConfig({ ...example, ...change });
  } catch (error) {
    assert.ok(error instanceof ConfigProblem);
    return error.message;
  }
  return assert.fail('it was taken');
};

void test('the example is a whole configuration', () => {
  assert.equal(parseConfig(example).variant, 'group');
  assert.ok(Object.isFrozen(parseConfig(example)));
});

void test('every problem is named at once, by key', () => {
  const message = problemsOf({ account: '12', region: 'Seoul', workerNetworks: ['10.0.0.300/8'], nmae: 'x' });
  for (const key of ['account', 'region', 'workerNetworks', 'nmae']) assert.match(message, new RegExp(`\\b${key}: `));
});

void test('what a variant needs is asked for', () => {
  assert.match(problemsOf({ variant: 'beanstalk' }), /solutionStack: needed for the variant beanstalk/);
  assert.match(problemsOf({ domain: undefined }), /domain: needed for the variant group/);
  assert.match(problemsOf({ minGateways: 9 }), /maxGateways: expected at least minGateways/);
  assert.match(
    problemsOf({
      pagesCertificateArn: 'arn:aws:acm:ap-northeast-2:111122223333:certificate/00000000-0000-0000-0000-000000000000',
    }),
    /us-east-1/,
  );
});

void test('the processor of an instance type is known by its name', () => {
  for (const type of ['t4g.small', 'm7g.large', 'c8gn.xlarge']) assert.ok(isArm(type), type);
  for (const type of ['t3.small', 'm7i.large', 'g5.xlarge', 'c6a.large']) assert.ok(!isArm(type), type);
});
