/** What somebody is woken for: callers see errors, nothing serves, the database fills up. Each says what to look at. */
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as sns from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';
import type { Data } from './data.ts';
import { gatewayMetric, type Gateways } from './gateways.ts';

interface Watched {
  readonly id: string;
  readonly text: string;
  readonly metric: cloudwatch.IMetric;
  readonly threshold: number;
  readonly minutes: number;
  readonly below?: boolean;
  /** No data is no trouble, unless it is what the alarm is about. */
  readonly missing?: cloudwatch.TreatMissingData;
}

export function createAlarms(scope: Construct, config: Config, { database }: Data, gateways: Gateways): void {
  const topic = new sns.Topic(scope, 'Alarms', { enforceSSL: true });
  if (config.alarmEmail !== null) topic.addSubscription(new EmailSubscription(config.alarmEmail));
  const minute = { period: Duration.minutes(1) };
  const { balancer, targets, tunnelTargets } = gateways;
  const GIB = 1024 ** 3;
  const watched: readonly Watched[] = [
    {
      id: 'CallersSee5xx',
      text: 'Gateways answer with 5xx: journalctl -u postern on one of them, and /readyz says whether the database is there',
      metric: targets.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT, { ...minute, statistic: 'Sum' }),
      threshold: 10,
      minutes: 3,
    },
    {
      id: 'BalancerAnswers5xx',
      text: 'The load balancer finds no gateway that answers',
      metric: balancer.metrics.httpCodeElb(elb.HttpCodeElb.ELB_5XX_COUNT, { ...minute, statistic: 'Sum' }),
      threshold: 10,
      minutes: 2,
    },
    {
      id: 'GatewaysUnhealthy',
      text: 'A gateway has not been ready for five minutes: it should have been replaced by now',
      metric: targets.metrics.unhealthyHostCount({ ...minute, statistic: 'Minimum' }),
      threshold: 1,
      minutes: 5,
    },
    {
      id: 'NobodyServes',
      text: 'No gateway is healthy',
      metric: targets.metrics.healthyHostCount({ ...minute, statistic: 'Maximum' }),
      threshold: 1,
      minutes: 1,
      below: true,
      missing: cloudwatch.TreatMissingData.BREACHING,
    },
    {
      id: 'WorkersCannotConnect',
      text: 'No gateway accepts workers',
      metric: tunnelTargets.metrics.healthyHostCount({ ...minute, statistic: 'Maximum' }),
      threshold: 1,
      minutes: 2,
      below: true,
      missing: cloudwatch.TreatMissingData.BREACHING,
    },
    {
      id: 'WorkWaits',
      text: 'Work has waited for ten minutes or would: more workers (/v1/scaling says how many and why), or are they away?',
      metric: gatewayMetric(gateways.namespace, gateways.groupName, 'QueueSeconds', 'Maximum'),
      threshold: 600,
      minutes: 5,
    },
    {
      id: 'NoFigures',
      text: 'No gateway tells its figures: journalctl -u postern-metrics. Machines are scaled by their processor alone',
      metric: gatewayMetric(gateways.namespace, gateways.groupName, 'EventLoop', 'Maximum'),
      threshold: 0,
      minutes: 10,
      below: true,
      missing: cloudwatch.TreatMissingData.BREACHING,
    },
    {
      id: 'DatabaseProcessor',
      text: 'The database computes at its limit: a larger databaseInstanceType, or look at Queries in the log',
      metric: database.metricCPUUtilization({ ...minute, statistic: 'Average' }),
      threshold: 85,
      minutes: 10,
    },
    {
      id: 'DatabaseStorage',
      text: 'The database has less than 2 GiB left: accepting jobs stops when it is full',
      metric: database.metricFreeStorageSpace({ ...minute, statistic: 'Minimum' }),
      threshold: 2 * GIB,
      minutes: 5,
      below: true,
    },
    {
      id: 'DatabaseConnections',
      text: 'The database has many connections: fewer gateways, a pooler, or a larger machine',
      metric: database.metricDatabaseConnections({ ...minute, statistic: 'Maximum' }),
      threshold: 150,
      minutes: 5,
    },
  ];
  for (const { id, text, metric, threshold, minutes, below = false, missing } of watched) {
    new cloudwatch.Alarm(scope, id, {
      alarmDescription: text,
      metric,
      threshold,
      evaluationPeriods: minutes,
      comparisonOperator: below
        ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        : cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
    }).addAlarmAction(new SnsAction(topic));
  }
}
