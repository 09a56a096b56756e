/** Where releases lie, and which of them machines start: a bucket, and one parameter that the deployment changes last. */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';

export interface Releases {
  readonly bucket: s3.Bucket;
  readonly current: ssm.StringParameter;
}

/** No release is this: a machine that finds it says so and gives up, before anything was deployed. */
export const NONE_YET = 'none';

export function createReleases(scope: Construct, config: Config): Releases {
  const bucket = new s3.Bucket(scope, 'Releases', {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    encryption: s3.BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    versioned: true,
    removalPolicy: RemovalPolicy.RETAIN,
    lifecycleRules: [
      { noncurrentVersionExpiration: Duration.days(30), abortIncompleteMultipartUploadAfter: Duration.days(1) },
    ],
  });
  const current = new ssm.StringParameter(scope, 'CurrentRelease', {
    parameterName: `/${config.name}/release`,
    stringValue: NONE_YET,
    description: 'Id of the release that machines start with',
  });
  return { bucket, current };
}
