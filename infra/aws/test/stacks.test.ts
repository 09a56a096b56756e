/** What the templates promise: nothing open that should be closed, nothing that loses data, nothing that needs a person at boot. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { parseConfig, type Variant } from '../lib/config.ts';
import { createStacks } from '../lib/stacks.ts';

const example = JSON.parse(readFileSync(new URL('../postern.config.example.json', import.meta.url), 'utf8')) as object;
const context = (
  JSON.parse(readFileSync(new URL('../cdk.json', import.meta.url), 'utf8')) as { context: Record<string, unknown> }
).context;

const cache = new Map<Variant, Map<string, Template>>();
function templates(variant: Variant): Map<string, Template> {
  let made = cache.get(variant);
  if (made === undefined) {
    const config = parseConfig({
      ...example,
      variant,
      solutionStack: '64bit Amazon Linux 2023 v6.6.5 running Node.js 24',
    });
    const stacks = createStacks(new App({ context }), config);
    made = new Map(stacks.map((stack) => [stack.stackName.replace('postern-', ''), Template.fromStack(stack)]));
    cache.set(variant, made);
  }
  return made;
}
function template(variant: Variant, part: string): Template {
  const found = templates(variant).get(part);
  assert.ok(found, `no stack ${part}`);
  return found;
}
const properties = (from: Template, type: string): Record<string, unknown>[] =>
  Object.values(from.findResources(type)).map((one) => (one as { Properties: Record<string, unknown> }).Properties);

void test('each variant is made of its stacks', () => {
  assert.deepEqual([...templates('group').keys()], ['base', 'gateways', 'pages', 'deploy']);
  assert.deepEqual([...templates('beanstalk').keys()], ['base', 'gateways', 'deploy']);
  assert.deepEqual([...templates('one-vm').keys()], ['vm']);
});

void test('no port is open to everybody but those of callers, and the tunnel only to the networks of workers', () => {
  for (const variant of ['group', 'beanstalk', 'one-vm'] as const) {
    for (const [part, one] of templates(variant)) {
      const inline = properties(one, 'AWS::EC2::SecurityGroup').flatMap(
        (group) => (group.SecurityGroupIngress ?? []) as object[],
      );
      const rules = [...inline, ...properties(one, 'AWS::EC2::SecurityGroupIngress')] as Record<string, unknown>[];
      for (const rule of rules) {
        const where = `${variant}/${part}: ${JSON.stringify(rule)}`;
        if (rule.CidrIp === '0.0.0.0/0') assert.ok([80, 443].includes(Number(rule.FromPort)), where);
        else if (rule.CidrIp !== undefined) assert.equal(rule.FromPort, 37373, where);
        assert.notEqual(rule.IpProtocol, '-1', where);
        assert.notEqual(rule.FromPort, 22, where);
      }
    }
  }
});

void test('gateways reach each other on the ports for that, and nobody else does', () => {
  for (const variant of ['group', 'beanstalk'] as const) {
    const rules = properties(template(variant, 'base'), 'AWS::EC2::SecurityGroupIngress').filter(
      ({ FromPort }) => FromPort === 37380,
    );
    assert.equal(rules.length, 1, variant);
    assert.equal(rules[0]?.ToPort, 37395);
    assert.deepEqual(rules[0].SourceSecurityGroupId, rules[0].GroupId, 'from their own group alone');
  }
  assert.ok(JSON.stringify(template('group', 'gateways').toJSON()).includes('POSTERN_PEER_PORT=37380'));
});

void test('buckets are closed, encrypted and reached by TLS alone', () => {
  for (const part of ['base', 'pages']) {
    const one = template('group', part);
    for (const bucket of properties(one, 'AWS::S3::Bucket')) {
      assert.deepEqual(bucket.PublicAccessBlockConfiguration, {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      });
      assert.ok(bucket.BucketEncryption);
    }
    const policies = JSON.stringify(properties(one, 'AWS::S3::BucketPolicy'));
    assert.equal(policies.split('"aws:SecureTransport":"false"').length - 1, properties(one, 'AWS::S3::Bucket').length);
  }
});

void test('what was left on its way in the bucket ends after a day, where gateways put it, and nothing else ends', () => {
  const prefix = 'blobs';
  const [rules] = properties(template('group', 'base'), 'AWS::S3::Bucket').flatMap(({ LifecycleConfiguration }) => {
    const { Rules = [] } = (LifecycleConfiguration ?? {}) as {
      Rules?: { Prefix?: string; ExpirationInDays?: number }[];
    };
    return Rules.some((rule) => rule.Prefix?.startsWith(prefix)) ? [Rules] : [];
  });
  const ending = (rules ?? []).filter((rule) => rule.ExpirationInDays !== undefined);
  assert.deepEqual(
    ending.map((rule) => [rule.Prefix, rule.ExpirationInDays]),
    ['drafts', 'incoming', 'photos/incoming'].map((place) => [`${prefix}/${place}/`, 1]),
  );
  assert.ok(JSON.stringify(template('group', 'gateways').toJSON()).includes(`/${prefix}'`));
});

void test('the database is encrypted, private, kept when the stack goes, and speaks TLS only', () => {
  const base = template('group', 'base');
  base.hasResource('AWS::RDS::DBInstance', {
    DeletionPolicy: 'Snapshot',
    Properties: Match.objectLike({
      StorageEncrypted: true,
      PubliclyAccessible: false,
      DeletionProtection: true,
      BackupRetentionPeriod: 7,
      Engine: 'postgres',
    }),
  });
  base.hasResourceProperties('AWS::RDS::DBParameterGroup', { Parameters: Match.objectLike({ 'rds.force_ssl': '1' }) });
});

void test('machines have no key pair, ask for IMDSv2, and their disks are encrypted', () => {
  const group = template('group', 'gateways');
  group.hasResourceProperties('AWS::EC2::LaunchTemplate', {
    LaunchTemplateData: Match.objectLike({
      KeyName: Match.absent(),
      MetadataOptions: Match.objectLike({ HttpTokens: 'required' }),
      BlockDeviceMappings: [Match.objectLike({ Ebs: Match.objectLike({ Encrypted: true }) })],
    }),
  });
  template('one-vm', 'vm').hasResourceProperties('AWS::EC2::Instance', { KeyName: Match.absent() });
});

void test('a gateway counts as healthy by /readyz, is drained before it goes, and is given up when it never serves', () => {
  const group = template('group', 'gateways');
  group.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', { HealthCheckPath: '/readyz', Port: 8080 });
  group.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', { Port: 37373, Protocol: 'TCP' });
  group.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
    HealthCheckType: Match.stringLikeRegexp('ELB'),
    MinSize: '2',
  });
  const [made] = properties(group, 'AWS::AutoScaling::AutoScalingGroup');
  assert.equal((made?.TargetGroupARNs as unknown[]).length, 2, 'of callers and of workers');
  for (const [transition, result] of [
    ['LAUNCHING', 'ABANDON'],
    ['TERMINATING', 'CONTINUE'],
  ]) {
    group.hasResourceProperties('AWS::AutoScaling::LifecycleHook', {
      LifecycleTransition: `autoscaling:EC2_INSTANCE_${transition}`,
      DefaultResult: result,
    });
  }
});

void test('callers reach HTTPS alone, and the balancer drops what smuggles', () => {
  const group = template('group', 'gateways');
  group.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
    Port: 443,
    SslPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
  });
  group.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
    Port: 80,
    DefaultActions: [Match.objectLike({ Type: 'redirect' })],
  });
  group.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', {
    Type: 'application',
    LoadBalancerAttributes: Match.arrayWith([
      { Key: 'routing.http.drop_invalid_header_fields.enabled', Value: 'true' },
      { Key: 'routing.http.desync_mitigation_mode', Value: 'strictest' },
    ]),
  });
});

void test('the first boot is a script that a shell can read, without a secret in it and within 16 KiB', () => {
  const data = JSON.stringify(properties(template('group', 'gateways'), 'AWS::EC2::LaunchTemplate'));
  assert.doesNotMatch(data, /BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|resolve:secretsmanager/);
  const parts = (
    JSON.parse(data) as { LaunchTemplateData: { UserData: { 'Fn::Base64': { 'Fn::Join': [string, unknown[]] } } } }[]
  )[0];
  const [, pieces] = parts?.LaunchTemplateData.UserData['Fn::Base64']['Fn::Join'] ?? ['', []];
  const script = pieces.map((piece) => (typeof piece === 'string' ? piece : 'value-of-the-stack')).join('');
  assert.ok(script.startsWith('#!/bin/bash\n'));
  assert.ok(Buffer.byteLength(script) < 16_384, `${Buffer.byteLength(script)} bytes`);
  const folder = mkdtempSync(join(tmpdir(), 'postern-boot-'));
  try {
    writeFileSync(join(folder, 'boot.sh'), script);
    execFileSync('bash', ['-n', join(folder, 'boot.sh')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

void test('pages: the bucket is read by CloudFront alone, assets are cached, the API is not', () => {
  const pages = template('group', 'pages');
  pages.resourceCountIs('AWS::CloudFront::OriginAccessControl', 1);
  const [distribution] = properties(pages, 'AWS::CloudFront::Distribution');
  const { DefaultCacheBehavior, CacheBehaviors, HttpVersion } = distribution?.DistributionConfig as {
    DefaultCacheBehavior: Record<string, unknown>;
    CacheBehaviors: Record<string, unknown>[];
    HttpVersion: string;
  };
  assert.equal(HttpVersion, 'http2and3');
  assert.equal(DefaultCacheBehavior.ViewerProtocolPolicy, 'redirect-to-https');
  const DISABLED = '4135ea2d-6df8-44a3-9df3-4b5a84be39ad';
  const OPTIMIZED = '658327ea-f89d-4fab-a63d-7e88639e58f6';
  for (const behaviour of CacheBehaviors) {
    assert.equal(behaviour.CachePolicyId, behaviour.PathPattern === '/assets/*' ? OPTIMIZED : DISABLED);
  }
  pages.hasResourceProperties('AWS::CloudFront::ResponseHeadersPolicy', {
    ResponseHeadersPolicyConfig: Match.objectLike({
      SecurityHeadersConfig: Match.objectLike({
        ContentSecurityPolicy: Match.anyValue(),
        StrictTransportSecurity: Match.anyValue(),
        FrameOptions: { FrameOption: 'DENY', Override: true },
      }),
    }),
  });
});

void test('only jobs of one environment of one repository may deploy, and they may do no more than that', () => {
  const deploy = template('group', 'deploy');
  deploy.hasResourceProperties('AWS::IAM::Role', {
    AssumeRolePolicyDocument: Match.objectLike({
      Statement: [
        Match.objectLike({
          Action: 'sts:AssumeRoleWithWebIdentity',
          Condition: {
            StringEquals: {
              'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
              'token.actions.githubusercontent.com:sub': 'repo:your-team/postern:environment:production',
            },
          },
        }),
      ],
    }),
  });
  for (const { PolicyDocument } of properties(deploy, 'AWS::IAM::Policy') as {
    PolicyDocument: { Statement: Record<string, unknown>[] };
  }[]) {
    for (const { Action, Resource } of PolicyDocument.Statement) {
      const actions = [Action].flat() as string[];
      assert.ok(
        actions.every((action) => !/^\*|^iam:|:\*$/.test(action)),
        `too much: ${actions.join(', ')}`,
      );
      if (Resource === '*')
        assert.ok(
          actions.every((action) => action.startsWith('autoscaling:Describe')),
          actions.join(', '),
        );
    }
  }
});

void test('somebody is woken when nothing serves', () => {
  const group = template('group', 'gateways');
  group.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'oncall@example.org' });
  group.hasResourceProperties('AWS::CloudWatch::Alarm', {
    AlarmDescription: 'No gateway is healthy',
    TreatMissingData: 'breaching',
    AlarmActions: [Match.anyValue()],
  });
});

void test('machines are scaled by their event loops too, and may tell their figures in one namespace', () => {
  const group = template('group', 'gateways');
  const dimensions = [{ Name: 'AutoScalingGroupName', Value: 'postern-gateways' }];
  group.hasResourceProperties('AWS::AutoScaling::ScalingPolicy', {
    PolicyType: 'TargetTrackingScaling',
    TargetTrackingConfiguration: {
      TargetValue: 60,
      CustomizedMetricSpecification: Match.objectLike({
        Namespace: 'Postern/postern',
        MetricName: 'EventLoop',
        Statistic: 'Average',
        Dimensions: dimensions,
      }),
    },
  });
  group.hasResourceProperties('AWS::CloudWatch::Alarm', {
    Namespace: 'Postern/postern',
    MetricName: 'QueueSeconds',
    Threshold: 600,
    Dimensions: dimensions,
  });
  const statements = (
    properties(group, 'AWS::IAM::Policy') as { PolicyDocument: { Statement: Record<string, unknown>[] } }[]
  ).flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
  const telling = statements.filter(({ Action }) =>
    [Action].flat().some((one) => String(one).startsWith('cloudwatch:')),
  );
  assert.deepEqual(
    telling.map(({ Action, Condition }) => [Action, Condition]),
    [['cloudwatch:PutMetricData', { StringEquals: { 'cloudwatch:namespace': 'Postern/postern' } }]],
  );
});

void test('what is told to CloudWatch is read off the figures of a gateway, by a key that no process list shows', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-metrics-'));
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.end(
      [
        'postern_event_loop_ratio 0.25',
        'postern_queue_seconds{model="plants"} 12.5',
        'postern_queue_seconds{model="clothes"} 40',
        'postern_queue_work_off_seconds{model="clothes"} 3',
        'postern_in_flight_requests 7',
        '',
      ].join('\n'),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    writeFileSync(join(folder, 'key'), 'postern_read_key\n');
    writeFileSync(join(folder, 'aws'), `#!/bin/bash\nprintf '%s\\n' "$@" >'${folder}/told'\n`, { mode: 0o755 });
    const script = new URL('../boot/metrics.sh', import.meta.url).pathname;
    await promisify(execFile)('bash', [script], {
      env: {
        ...process.env,
        PATH: `${folder}:${process.env.PATH}`,
        KEY_FILE: join(folder, 'key'),
        NAMESPACE: 'Postern/postern',
        GROUP: 'postern-gateways',
        HTTP_PORT: String((server.address() as AddressInfo).port),
      },
    });
    const told = readFileSync(join(folder, 'told'), 'utf8').split('\n');
    assert.deepEqual(told.slice(0, 4), ['cloudwatch', 'put-metric-data', '--namespace', 'Postern/postern']);
    const data = JSON.parse(told[5] ?? '') as { MetricName: string; Value: number; Dimensions: unknown }[];
    assert.deepEqual(
      data.map(({ MetricName, Value }) => [MetricName, Value]),
      [
        ['EventLoop', 25],
        ['QueueSeconds', 40],
        ['RequestsInFlight', 7],
      ],
    );
    assert.deepEqual(data[0]?.Dimensions, [{ Name: 'AutoScalingGroupName', Value: 'postern-gateways' }]);
    assert.deepEqual(asked, ['Bearer postern_read_key']);
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
});

void test('Beanstalk replaces machines, never touches them, and its workers have a way in', () => {
  const one = template('beanstalk', 'gateways');
  const option = (Namespace: string, OptionName: string, Value: unknown): void => {
    one.hasResourceProperties('AWS::ElasticBeanstalk::Environment', {
      OptionSettings: Match.arrayWith([{ Namespace, OptionName, Value }]),
    });
  };
  option('aws:elasticbeanstalk:command', 'DeploymentPolicy', 'Immutable');
  option('aws:elasticbeanstalk:environment:process:default', 'HealthCheckPath', '/readyz');
  option('aws:autoscaling:launchconfiguration', 'DisableIMDSv1', 'true');
  one.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', { Port: 37373, Protocol: 'TCP' });
});

void test('one machine: an address that stays, a volume that outlives it, a copy every night', () => {
  const one = template('one-vm', 'vm');
  one.resourceCountIs('AWS::EC2::EIP', 1);
  one.hasResource('AWS::EC2::Volume', {
    DeletionPolicy: 'Snapshot',
    Properties: Match.objectLike({ Encrypted: true }),
  });
  one.resourceCountIs('AWS::Backup::BackupPlan', 1);
  one.resourceCountIs('AWS::RDS::DBInstance', 0);
  one.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 0);
});
