/**
 * The role that GitHub Actions take for the minutes of a deployment: no key is stored anywhere. GitHub signs who is asking, and
 * only jobs of one environment of one repository are this role; who may run those is decided there (required reviewers).
 */
import { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';
import { groupArn, type Gateways } from './gateways.ts';
import type { Pages } from './pages.ts';
import type { Releases } from './releases.ts';

const ISSUER = 'token.actions.githubusercontent.com';

export function createDeployRole(
  scope: Construct,
  config: Config,
  parts: { readonly releases: Releases; readonly gateways: Gateways | null; readonly pages: Pages | null },
): iam.Role {
  if (config.github === null) throw new Error('github: needed for the role of deployments');
  const { repository, environment } = config.github;
  const provider = new iam.OpenIdConnectProvider(scope, 'GitHub', {
    url: `https://${ISSUER}`,
    clientIds: ['sts.amazonaws.com'],
  });
  const role = new iam.Role(scope, 'Deploy', {
    roleName: `${config.name}-deploy`,
    maxSessionDuration: Duration.hours(1),
    assumedBy: new iam.WebIdentityPrincipal(provider.openIdConnectProviderArn, {
      StringEquals: {
        [`${ISSUER}:aud`]: 'sts.amazonaws.com',
        [`${ISSUER}:sub`]: `repo:${repository}:environment:${environment}`,
      },
    }),
  });
  const { releases, gateways, pages } = parts;
  releases.bucket.grantPut(role);
  releases.bucket.grantRead(role);
  releases.current.grantRead(role);
  releases.current.grantWrite(role);
  const allow = (actions: string[], resources: string[]): void => {
    role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  };
  if (gateways !== null) {
    const group = groupArn(scope, gateways.groupName);
    allow(
      ['autoscaling:StartInstanceRefresh', 'autoscaling:CancelInstanceRefresh', 'autoscaling:RollbackInstanceRefresh'],
      [group],
    );
    // Describe takes no resource.
    allow(['autoscaling:DescribeInstanceRefreshes', 'autoscaling:DescribeAutoScalingGroups'], ['*']);
  }
  if (pages !== null) {
    pages.bucket.grantPut(role);
    pages.bucket.grantRead(role);
    pages.distribution.grantCreateInvalidation(role);
  }
  return role;
}
