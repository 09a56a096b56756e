/** Which stacks a variant is made of. What must last (data) is apart from what comes and goes (gateways, pages). */
import { CfnOutput, Stack, Tags, Validations, type App, type StackProps } from 'aws-cdk-lib';
import { createAlarms } from './alarms.ts';
import { createBeanstalk } from './beanstalk.ts';
import type { Config } from './config.ts';
import { createData } from './data.ts';
import { createDeployRole } from './deploy-role.ts';
import { createGateways, type Gateways } from './gateways.ts';
import { createNetwork } from './network.ts';
import { createOneVm } from './one-vm.ts';
import { createPages, type Pages } from './pages.ts';
import { createReleases } from './releases.ts';

/** Knows its zones: CDK would ask AWS, and a template could not be made without an account at hand. */
class ZonedStack extends Stack {
  readonly #zones: readonly string[];

  constructor(app: App, id: string, props: StackProps & { readonly zones: readonly string[] }) {
    super(app, id, props);
    this.#zones = props.zones;
    Validations.of(this).acknowledge({
      id: 'CloudFormation-Validate::W3010',
      reason: 'zones are named in the configuration',
    });
  }

  override get availabilityZones(): string[] {
    return [...this.#zones];
  }
}

export function createStacks(app: App, config: Config): Stack[] {
  const props = {
    env: { account: config.account, region: config.region },
    zones: config.zones.map((letter) => `${config.region}${letter}`),
    terminationProtection: true,
  };
  const made: Stack[] = [];
  const stack = (part: string, description: string): Stack => {
    const one = new ZonedStack(app, `${config.name}-${part}`, { ...props, description });
    Tags.of(one).add('postern', config.name);
    made.push(one);
    return one;
  };
  if (config.variant === 'one-vm') {
    createOneVm(stack('vm', 'Postern on one machine'), config);
    return made;
  }

  const base = stack('base', 'Postern: network, database, photos, releases');
  const network = createNetwork(base, config);
  const data = createData(base, config, network);
  const releases = createReleases(base, config);
  new CfnOutput(base, 'ReleasesBucket', { value: releases.bucket.bucketName });
  new CfnOutput(base, 'AuthoritySecret', { value: data.authority.secretArn });

  let gateways: Gateways | null = null;
  let pages: Pages | null = null;
  const service = stack('gateways', 'Postern: gateways and their load balancers');
  if (config.variant === 'beanstalk') {
    createBeanstalk(service, config, network, data);
  } else {
    gateways = createGateways(service, config, network, data, releases);
    createAlarms(service, config, data, gateways);
    new CfnOutput(service, 'ApiAddress', {
      value: gateways.balancer.loadBalancerDnsName,
      description: `Point ${config.apiDomain} here`,
    });
    new CfnOutput(service, 'TunnelAddress', {
      value: `${gateways.tunnelBalancer.loadBalancerDnsName}:37373`,
      description: 'Workers dial this',
    });
    const front = stack('pages', 'Postern: pages');
    pages = createPages(front, config, `https://${data.photos.bucketRegionalDomainName}`);
    new CfnOutput(front, 'PagesBucket', { value: pages.bucket.bucketName });
    new CfnOutput(front, 'DistributionId', { value: pages.distribution.distributionId });
    new CfnOutput(front, 'PagesAddress', {
      value: pages.distribution.distributionDomainName,
      description: `Point ${config.domain} here`,
    });
  }
  if (config.github !== null) {
    const role = createDeployRole(stack('deploy', 'Postern: the role of deployments'), config, {
      releases,
      gateways,
      pages,
    });
    new CfnOutput(Stack.of(role), 'DeployRole', { value: role.roleArn });
  }
  return made;
}
