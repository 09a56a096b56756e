/**
 * One machine and nothing else: the gateway with SQLite and a directory, at a fixed address. What must last is on a volume of its own
 * that outlives the machine and is copied every night. `postern deploy` brings the releases, over SSH through Session Manager or not at all.
 */
import { CfnOutput, Duration, RemovalPolicy, Size, Stack } from 'aws-cdk-lib';
import * as backup from 'aws-cdk-lib/aws-backup';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';
import { isArm } from './gateways.ts';
import { TUNNEL_PORT } from './network.ts';

const DATA_GB = 20;
const DATA_DEVICE = '/dev/sdf';

export function createOneVm(scope: Construct, config: Config): ec2.Instance {
  const vpc = new ec2.Vpc(scope, 'Vpc', {
    maxAzs: 1,
    natGateways: 0,
    subnetConfiguration: [{ name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24 }],
  });
  const security = new ec2.SecurityGroup(scope, 'Gateway', { vpc, description: 'A gateway of Postern' });
  for (const port of [80, 443]) security.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(port), 'callers');
  for (const network of config.workerNetworks) {
    security.addIngressRule(ec2.Peer.ipv4(network), ec2.Port.tcp(TUNNEL_PORT), 'workers');
  }
  const role = new iam.Role(scope, 'Role', {
    assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com'),
    managedPolicies: [iam.ManagedPolicy.fromAwsManagedPolicyName('AmazonSSMManagedInstanceCore')],
  });
  const instance = new ec2.Instance(scope, 'Instance', {
    vpc,
    securityGroup: security,
    role,
    instanceType: new ec2.InstanceType(config.instanceType),
    machineImage: ec2.MachineImage.fromSsmParameter(
      `/aws/service/debian/release/12/latest/${isArm(config.instanceType) ? 'arm64' : 'amd64'}`,
    ),
    requireImdsv2: true,
    blockDevices: [
      {
        deviceName: '/dev/xvda',
        volume: ec2.BlockDeviceVolume.ebs(16, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
      },
    ],
    userData: prepare(Stack.of(scope).region),
    // A changed script must not replace the machine: it counts at the first boot only.
    userDataCausesReplacement: false,
  });
  const volume = new ec2.Volume(scope, 'Data', {
    availabilityZone: vpc.availabilityZones[0] ?? '',
    size: Size.gibibytes(DATA_GB),
    encrypted: true,
    volumeType: ec2.EbsDeviceVolumeType.GP3,
    removalPolicy: RemovalPolicy.SNAPSHOT,
  });
  new ec2.CfnVolumeAttachment(scope, 'DataAttachment', {
    device: DATA_DEVICE,
    instanceId: instance.instanceId,
    volumeId: volume.volumeId,
  });
  const plan = new backup.BackupPlan(scope, 'Nightly', {
    backupPlanRules: [
      new backup.BackupPlanRule({
        ruleName: 'nightly',
        scheduleExpression: events.Schedule.cron({ hour: '18', minute: '0' }),
        deleteAfter: Duration.days(14),
      }),
    ],
  });
  plan.addSelection('Data', {
    resources: [
      backup.BackupResource.fromArn(
        Stack.of(scope).formatArn({ service: 'ec2', resource: 'volume', resourceName: volume.volumeId }),
      ),
    ],
  });
  const address = new ec2.CfnEIP(scope, 'Address', { instanceId: instance.instanceId });
  new CfnOutput(scope, 'PublicAddress', { value: address.attrPublicIp, description: 'Point the domain here' });
  new CfnOutput(scope, 'InstanceId', { value: instance.instanceId, description: 'aws ssm start-session --target …' });
  return instance;
}

/** Debian without the agent of Session Manager, and with an empty volume: both are put right at the first boot. */
function prepare(region: string): ec2.UserData {
  const data = ec2.UserData.forLinux();
  data.addCommands(
    'set -euo pipefail',
    'export DEBIAN_FRONTEND=noninteractive',
    'architecture=$(dpkg --print-architecture)',
    `curl -sfLo /tmp/agent.deb "https://s3.${region}.amazonaws.com/amazon-ssm-${region}/latest/debian_$architecture/amazon-ssm-agent.deb"`,
    'dpkg -i /tmp/agent.deb',
    'apt-get update && apt-get install -y --no-install-recommends nvme-cli certbot nginx',
    '# Attached after the boot began; under its NVMe name, which is not the one that was asked for.',
    'for _ in $(seq 60); do',
    '  device=$(for d in /dev/nvme[1-9]n1; do [ -e "$d" ] && nvme id-ctrl -v "$d" | grep -q sdf && echo "$d" && break; done || true)',
    '  [ -n "$device" ] && break',
    '  sleep 2',
    'done',
    '[ -n "$device" ] || { echo "postern: the data volume did not come"; exit 1; }',
    'blkid "$device" >/dev/null || mkfs.ext4 -q -L postern-data "$device"',
    'install -d -m 0755 /var/lib/postern',
    'grep -q postern-data /etc/fstab || echo "LABEL=postern-data /var/lib/postern ext4 defaults,nofail,x-systemd.device-timeout=30 0 2" >>/etc/fstab',
    'mount /var/lib/postern',
  );
  return data;
}
