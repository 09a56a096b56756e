/**
 * For teams that deploy with Elastic Beanstalk: it keeps the machines and the load balancer of callers; the bundle in `beanstalk/`
 * tells it how a gateway is started. Workers come through a network load balancer of ours, because Beanstalk's speaks HTTP only.
 */
import { CfnOutput, Stack } from 'aws-cdk-lib';
import * as beanstalk from 'aws-cdk-lib/aws-elasticbeanstalk';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';
import { BLOB_PREFIX, type Data } from './data.ts';
import { HTTP_PORT, PEER_PORT, PUBLIC, TUNNEL_PORT, type Network } from './network.ts';

type Option = readonly [namespace: string, name: string, value: string];

export function createBeanstalk(scope: Construct, config: Config, network: Network, data: Data): void {
  const { vpc, gateways } = network;
  const tunnel = createTunnel(scope, network);
  const role = new iam.Role(scope, 'InstanceRole', {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    managedPolicies: ['AWSElasticBeanstalkWebTier', 'AmazonSSMManagedInstanceCore'].map((name) =>
      iam.ManagedPolicy.fromAwsManagedPolicyName(name),
    ),
  });
  data.photos.grantReadWrite(role);
  data.photos.grantDelete(role);
  data.authority.grantRead(role);
  data.database.secret?.grantRead(role);
  // Machines enter themselves here when they are ready (beanstalk/.platform/hooks).
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['elasticloadbalancing:RegisterTargets', 'elasticloadbalancing:DeregisterTargets'],
      resources: [tunnel.targetGroupArn],
    }),
  );
  const profile = new iam.InstanceProfile(scope, 'InstanceProfile', { role });
  const service = new iam.Role(scope, 'ServiceRole', {
    assumedBy: new iam.ServicePrincipal('elasticbeanstalk.amazonaws.com'),
    managedPolicies: [
      'service-role/AWSElasticBeanstalkEnhancedHealth',
      'AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy',
    ].map((name) => iam.ManagedPolicy.fromAwsManagedPolicyName(name)),
  });
  const application = new beanstalk.CfnApplication(scope, 'Application', { applicationName: config.name });
  const subnets = vpc.selectSubnets(PUBLIC).subnetIds.join(',');
  const environment = (name: string, value: string): Option => [
    'aws:elasticbeanstalk:application:environment',
    name,
    value,
  ];
  const options: readonly Option[] = [
    ['aws:elasticbeanstalk:environment', 'EnvironmentType', 'LoadBalanced'],
    ['aws:elasticbeanstalk:environment', 'LoadBalancerType', 'application'],
    ['aws:elasticbeanstalk:environment', 'ServiceRole', service.roleArn],
    ['aws:ec2:vpc', 'VPCId', vpc.vpcId],
    ['aws:ec2:vpc', 'Subnets', subnets],
    ['aws:ec2:vpc', 'ELBSubnets', subnets],
    ['aws:ec2:vpc', 'AssociatePublicIpAddress', 'true'],
    ['aws:autoscaling:launchconfiguration', 'IamInstanceProfile', profile.instanceProfileName],
    ['aws:autoscaling:launchconfiguration', 'SecurityGroups', gateways.securityGroupId],
    ['aws:autoscaling:launchconfiguration', 'DisableIMDSv1', 'true'],
    ['aws:autoscaling:launchconfiguration', 'RootVolumeType', 'gp3'],
    ['aws:ec2:instances', 'InstanceTypes', config.instanceType],
    ['aws:autoscaling:asg', 'MinSize', String(config.minGateways)],
    ['aws:autoscaling:asg', 'MaxSize', String(config.maxGateways)],
    // New machines beside the old ones, then a swap: what serves is never touched.
    ['aws:elasticbeanstalk:command', 'DeploymentPolicy', 'Immutable'],
    ['aws:autoscaling:updatepolicy:rollingupdate', 'RollingUpdateType', 'Immutable'],
    ['aws:autoscaling:updatepolicy:rollingupdate', 'RollingUpdateEnabled', 'true'],
    ['aws:elasticbeanstalk:healthreporting:system', 'SystemType', 'enhanced'],
    ['aws:elasticbeanstalk:environment:process:default', 'HealthCheckPath', '/readyz'],
    ['aws:elasticbeanstalk:environment:process:default', 'HealthCheckInterval', '5'],
    ['aws:elasticbeanstalk:environment:process:default', 'HealthCheckTimeout', '4'],
    ['aws:elasticbeanstalk:environment:process:default', 'DeregistrationDelay', '35'],
    ['aws:elbv2:listener:443', 'Protocol', 'HTTPS'],
    ['aws:elbv2:listener:443', 'SSLCertificateArns', config.certificateArn ?? ''],
    ['aws:elbv2:listener:443', 'SSLPolicy', 'ELBSecurityPolicy-TLS13-1-2-2021-06'],
    ['aws:elbv2:listener:default', 'ListenerEnabled', 'false'],
    environment('POSTERN_HTTP_PORT', String(HTTP_PORT)),
    environment('PORT', String(HTTP_PORT)),
    environment('POSTERN_TUNNEL_PORT', String(TUNNEL_PORT)),
    environment('POSTERN_PEER_PORT', String(PEER_PORT)),
    environment('POSTERN_PUBLIC_URL', `https://${config.domain ?? config.apiDomain}`),
    environment('POSTERN_TRUSTED_PROXIES', `127.0.0.1,${vpc.vpcCidrBlock}`),
    environment('POSTERN_DATA_DIR', '/var/lib/postern/data'),
    environment('BLOB_URL', `s3://${data.photos.bucketName}/${BLOB_PREFIX}`),
    environment('POSTERN_GUIDE_PHOTO_TTL_S', String(config.photoDays * 86_400)),
    environment('STACK_DATABASE_SECRET', data.database.secret?.secretArn ?? ''),
    environment('STACK_AUTHORITY_SECRET', data.authority.secretArn),
    environment('STACK_TUNNEL_TARGETS', tunnel.targetGroupArn),
  ];
  const made = new beanstalk.CfnEnvironment(scope, 'Environment', {
    applicationName: application.ref,
    environmentName: `${config.name}-gateways`,
    solutionStackName: config.solutionStack ?? '',
    tier: { name: 'WebServer', type: 'Standard' },
    optionSettings: options.map(([namespace, optionName, value]) => ({ namespace, optionName, value })),
  });
  new CfnOutput(scope, 'Endpoint', { value: made.attrEndpointUrl, description: 'Point apiDomain here' });
}

function createTunnel(scope: Construct, { vpc, workersFront }: Network): elb.NetworkTargetGroup {
  const balancer = new elb.NetworkLoadBalancer(scope, 'Workers', {
    vpc,
    vpcSubnets: PUBLIC,
    internetFacing: true,
    crossZoneEnabled: true,
    securityGroups: [workersFront],
  });
  const targets = new elb.NetworkTargetGroup(scope, 'WorkersTargets', {
    vpc,
    port: TUNNEL_PORT,
    protocol: elb.Protocol.TCP,
    targetType: elb.TargetType.INSTANCE,
    preserveClientIp: true,
    connectionTermination: true,
  });
  balancer.addListener('Tunnel', { port: TUNNEL_PORT, protocol: elb.Protocol.TCP, defaultTargetGroups: [targets] });
  new CfnOutput(scope, 'TunnelAddress', {
    value: `${balancer.loadBalancerDnsName}:${TUNNEL_PORT}`,
    description: `Workers dial this (${Stack.of(scope).region})`,
  });
  return targets;
}
