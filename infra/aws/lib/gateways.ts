/**
 * The gateways: an Auto Scaling group behind two load balancers. The application load balancer speaks HTTPS to callers and asks
 * `/readyz`; the network load balancer passes TLS of workers through untouched, because the certificate of a worker is checked by the gateway.
 */
import { Duration, Stack } from 'aws-cdk-lib';
import * as autoscaling from 'aws-cdk-lib/aws-autoscaling';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { bootScript } from './boot.ts';
import type { Config } from './config.ts';
import { BLOB_PREFIX, type Data } from './data.ts';
import { HTTP_PORT, PEER_PORT, PUBLIC, TUNNEL_PORT, type Network } from './network.ts';
import type { Releases } from './releases.ts';

export interface Gateways {
  /** Of what they tell CloudWatch (`boot/metrics.sh`). */
  readonly namespace: string;
  readonly group: autoscaling.AutoScalingGroup;
  readonly groupName: string;
  readonly balancer: elb.ApplicationLoadBalancer;
  readonly targets: elb.ApplicationTargetGroup;
  readonly tunnelBalancer: elb.NetworkLoadBalancer;
  readonly tunnelTargets: elb.NetworkTargetGroup;
}

/** The gateway closes idle connections after 72 s; the balancer must be first, or it sends requests into a closing one. */
const IDLE = Duration.seconds(60);
/** As long as a gateway drains. */
const DRAIN = Duration.seconds(35);
const LAUNCH_HOOK = 'postern-launch';
const TERMINATE_HOOK = 'postern-terminate';

export function createGateways(
  scope: Construct,
  config: Config,
  network: Network,
  data: Data,
  releases: Releases,
): Gateways {
  const groupName = `${config.name}-gateways`;
  const role = gatewayRole(scope, data, releases);
  role.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions: ['autoscaling:CompleteLifecycleAction'],
      resources: [groupArn(scope, groupName)],
    }),
  );
  const namespace = metricsNamespace(config);
  role.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions: ['cloudwatch:PutMetricData'],
      // It takes no resource; the namespace is what bounds it.
      resources: ['*'],
      conditions: { StringEquals: { 'cloudwatch:namespace': namespace } },
    }),
  );
  const group = createGroup(scope, config, network, groupName, role, data, releases);
  const { balancer, targets } = createCallersFront(scope, config, network, group);
  const { tunnelBalancer, tunnelTargets } = createWorkersFront(scope, network, group);

  // Work of a gateway is carrying. GPUs are elsewhere, and queues are theirs. Its event loop is one, and full at half of a processor of
  // two cores; databases and encryption are on the other one. Either may ask for more machines; fewer need the consent of both.
  group.scaleOnCpuUtilization('Processor', { targetUtilizationPercent: 55 });
  group.scaleToTrackMetric('EventLoop', {
    metric: gatewayMetric(namespace, groupName, 'EventLoop', 'Average'),
    targetValue: 60,
  });
  return { namespace, group, groupName, balancer, targets, tunnelBalancer, tunnelTargets };
}

function gatewayRole(scope: Construct, { database, photos, authority }: Data, releases: Releases): iam.Role {
  const role = new iam.Role(scope, 'GatewayRole', {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    // A shell for people is `aws ssm start-session`: no SSH, no key pair, no open port.
    managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore')],
  });
  releases.bucket.grantRead(role);
  releases.current.grantRead(role);
  photos.grantReadWrite(role);
  photos.grantDelete(role);
  authority.grantRead(role);
  database.secret?.grantRead(role);
  return role;
}

function createGroup(
  scope: Construct,
  config: Config,
  { vpc, gateways }: Network,
  groupName: string,
  role: iam.Role,
  { database, photos, authority }: Data,
  releases: Releases,
): autoscaling.AutoScalingGroup {
  const template = new ec2.LaunchTemplate(scope, 'GatewayTemplate', {
    instanceType: new ec2.InstanceType(config.instanceType),
    machineImage: ec2.MachineImage.latestAmazonLinux2023({
      cpuType: isArm(config.instanceType) ? ec2.AmazonLinuxCpuType.ARM_64 : ec2.AmazonLinuxCpuType.X86_64,
    }),
    role,
    securityGroup: gateways,
    associatePublicIpAddress: true,
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
    blockDevices: [
      {
        deviceName: '/dev/xvda',
        volume: ec2.BlockDeviceVolume.ebs(16, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
      },
    ],
    userData: bootScript({
      REGION: Stack.of(scope).region,
      RELEASES: releases.bucket.bucketName,
      RELEASE_PARAMETER: releases.current.parameterName,
      AUTHORITY_SECRET: authority.secretArn,
      DATABASE_SECRET: database.secret?.secretArn ?? '',
      BLOB_URL: `s3://${photos.bucketName}/${BLOB_PREFIX}`,
      SETTINGS: [
        `POSTERN_PUBLIC_URL=https://${config.domain ?? config.apiDomain}`,
        `POSTERN_TRUSTED_PROXIES=${vpc.vpcCidrBlock}`,
        `POSTERN_PEER_PORT=${PEER_PORT}`,
        `POSTERN_GUIDE_PHOTO_TTL_S=${config.photoDays * 86_400}`,
        ...(config.domain === null ? [] : [`POSTERN_CORS_ORIGINS=https://${config.domain}`]),
      ].join('\n'),
      HTTP_PORT: String(HTTP_PORT),
      TUNNEL_PORT: String(TUNNEL_PORT),
      GROUP: groupName,
      LAUNCH_HOOK,
      TERMINATE_HOOK,
      NAMESPACE: metricsNamespace(config),
    }),
  });
  const group = new autoscaling.AutoScalingGroup(scope, 'Gateways', {
    autoScalingGroupName: groupName,
    vpc,
    vpcSubnets: PUBLIC,
    launchTemplate: template,
    minCapacity: config.minGateways,
    maxCapacity: config.maxGateways,
    healthChecks: autoscaling.HealthChecks.withAdditionalChecks({
      additionalTypes: [autoscaling.AdditionalHealthCheckType.ELB],
      gracePeriod: Duration.minutes(3),
    }),
    defaultInstanceWarmup: Duration.seconds(60),
    // A changed template alone replaces nothing: the deployment starts an instance refresh, which never goes below what serves.
    updatePolicy: undefined,
    maxInstanceLifetime: Duration.days(30),
    newInstancesProtectedFromScaleIn: false,
  });
  group.addLifecycleHook('Launch', {
    lifecycleHookName: LAUNCH_HOOK,
    lifecycleTransition: autoscaling.LifecycleTransition.INSTANCE_LAUNCHING,
    defaultResult: autoscaling.DefaultResult.ABANDON,
    heartbeatTimeout: Duration.minutes(6),
  });
  group.addLifecycleHook('Terminate', {
    lifecycleHookName: TERMINATE_HOOK,
    lifecycleTransition: autoscaling.LifecycleTransition.INSTANCE_TERMINATING,
    defaultResult: autoscaling.DefaultResult.CONTINUE,
    heartbeatTimeout: Duration.minutes(3),
  });
  return group;
}

function createCallersFront(
  scope: Construct,
  config: Config,
  { vpc, callersFront }: Network,
  group: autoscaling.AutoScalingGroup,
): Pick<Gateways, 'balancer' | 'targets'> {
  const balancer = new elb.ApplicationLoadBalancer(scope, 'Callers', {
    vpc,
    vpcSubnets: PUBLIC,
    internetFacing: true,
    securityGroup: callersFront,
    idleTimeout: IDLE,
    dropInvalidHeaderFields: true,
    desyncMitigationMode: elb.DesyncMitigationMode.STRICTEST,
    deletionProtection: true,
  });
  const targets = new elb.ApplicationTargetGroup(scope, 'CallersTargets', {
    vpc,
    port: HTTP_PORT,
    protocol: elb.ApplicationProtocol.HTTP,
    targets: [group],
    deregistrationDelay: DRAIN,
    healthCheck: {
      path: '/readyz',
      healthyHttpCodes: '200',
      interval: Duration.seconds(5),
      timeout: Duration.seconds(4),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
    loadBalancingAlgorithmType: elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
  });
  balancer.addListener('Https', {
    port: 443,
    open: false,
    protocol: elb.ApplicationProtocol.HTTPS,
    sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
    certificates: [acm.Certificate.fromCertificateArn(scope, 'Certificate', config.certificateArn ?? '')],
    defaultTargetGroups: [targets],
  });
  balancer.addRedirect({ sourcePort: 80, targetPort: 443, open: false });
  return { balancer, targets };
}

function createWorkersFront(
  scope: Construct,
  { vpc, workersFront }: Network,
  group: autoscaling.AutoScalingGroup,
): Pick<Gateways, 'tunnelBalancer' | 'tunnelTargets'> {
  const tunnelBalancer = new elb.NetworkLoadBalancer(scope, 'Workers', {
    vpc,
    vpcSubnets: PUBLIC,
    internetFacing: true,
    crossZoneEnabled: true,
    securityGroups: [workersFront],
    deletionProtection: true,
  });
  const tunnelTargets = new elb.NetworkTargetGroup(scope, 'WorkersTargets', {
    vpc,
    port: TUNNEL_PORT,
    protocol: elb.Protocol.TCP,
    targets: [group],
    preserveClientIp: true,
    // A worker is told to go (DRAIN) long before this; what is left then is cut.
    deregistrationDelay: DRAIN,
    connectionTermination: true,
    healthCheck: {
      protocol: elb.Protocol.HTTP,
      port: String(HTTP_PORT),
      path: '/readyz',
      interval: Duration.seconds(5),
      timeout: Duration.seconds(4),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
  });
  tunnelBalancer.addListener('Tunnel', {
    port: TUNNEL_PORT,
    protocol: elb.Protocol.TCP,
    defaultTargetGroups: [tunnelTargets],
  });
  return { tunnelBalancer, tunnelTargets };
}

/** By its name: the group itself would be a circle, its machines being made with the role that may name it. */
export function groupArn(scope: Construct, groupName: string): string {
  const { partition, region, account } = Stack.of(scope);
  return `arn:${partition}:autoscaling:${region}:${account}:autoScalingGroup:*:autoScalingGroupName/${groupName}`;
}

const metricsNamespace = ({ name }: Config): string => `Postern/${name}`;

export const gatewayMetric = (
  namespace: string,
  groupName: string,
  metricName: string,
  statistic: 'Average' | 'Maximum',
): cloudwatch.Metric =>
  new cloudwatch.Metric({
    namespace,
    metricName,
    dimensionsMap: { AutoScalingGroupName: groupName },
    statistic,
    period: Duration.minutes(1),
  });

/** t4g, m7g, c8gn …: a `g` after the generation. */
export const isArm = (instanceType: string): boolean => /^[a-z]+\d+[a-z]*g[a-z]*\./.test(instanceType);
