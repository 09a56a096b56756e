/**
 * The network: two zones; gateways in public subnets, the database in isolated ones, no NAT.
 *
 * Gateways have public addresses because workers dial each of them, not only the load balancer, and because a NAT gateway costs more
 * than a small gateway does. What protects them is their security group: nothing comes in but HTTP from the load balancer, and the tunnel
 * port from the networks that workers are in, behind which only a certificate gets any further. What gateways pass on to each other stays among them.
 */
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';

export const HTTP_PORT = 8080;
export const TUNNEL_PORT = 37373;
export const DATABASE_PORT = 5432;
/** A gateway takes the first free one of so many, because two releases are beside each other while they are switched. */
export const PEER_PORT = 37380;
const PEER_PORTS = 16;

export interface Network {
  readonly vpc: ec2.Vpc;
  readonly gateways: ec2.SecurityGroup;
  readonly database: ec2.SecurityGroup;
  /** Of the load balancer that callers reach. */
  readonly callersFront: ec2.SecurityGroup;
  /** Of the load balancer that workers reach. */
  readonly workersFront: ec2.SecurityGroup;
}

export const PUBLIC = { subnetType: ec2.SubnetType.PUBLIC } as const;
export const ISOLATED = { subnetType: ec2.SubnetType.PRIVATE_ISOLATED } as const;

export function createNetwork(scope: Construct, config: Config): Network {
  const vpc = new ec2.Vpc(scope, 'Vpc', {
    maxAzs: 2,
    natGateways: 0,
    subnetConfiguration: [
      { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24 },
      { name: 'database', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 26 },
    ],
    gatewayEndpoints: { s3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
  });
  const closed = (id: string, description: string): ec2.SecurityGroup =>
    new ec2.SecurityGroup(scope, id, { vpc, description, allowAllOutbound: false });
  const gateways = new ec2.SecurityGroup(scope, 'GatewayAccess', { vpc, description: 'Gateways of Postern' });
  const database = closed('DatabaseAccess', 'PostgreSQL of Postern');
  const callersFront = closed('CallersFrontAccess', 'HTTPS of callers');
  const workersFront = closed('WorkersFrontAccess', 'Tunnel of workers');

  for (const port of [80, 443]) callersFront.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(port), 'callers');
  for (const network of config.workerNetworks) {
    for (const group of [workersFront, gateways]) {
      group.addIngressRule(ec2.Peer.ipv4(network), ec2.Port.tcp(TUNNEL_PORT), 'workers');
    }
  }
  const allow = (from: ec2.SecurityGroup, to: ec2.SecurityGroup, port: number, what: string): void => {
    from.addEgressRule(to, ec2.Port.tcp(port), what);
    to.addIngressRule(from, ec2.Port.tcp(port), what);
  };
  allow(callersFront, gateways, HTTP_PORT, 'requests of callers');
  allow(workersFront, gateways, TUNNEL_PORT, 'tunnels of workers');
  allow(workersFront, gateways, HTTP_PORT, 'health checks');
  gateways.addIngressRule(gateways, ec2.Port.tcpRange(PEER_PORT, PEER_PORT + PEER_PORTS - 1), 'other gateways');
  database.addIngressRule(gateways, ec2.Port.tcp(DATABASE_PORT), 'gateways');
  return { vpc, gateways, database, callersFront, workersFront };
}
