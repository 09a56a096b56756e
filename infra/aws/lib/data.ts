/** What must outlive every machine: the database of jobs, the bucket of photos, and the secrets. */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as rds from 'aws-cdk-lib/aws-rds';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secrets from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';
import { ISOLATED, type Network } from './network.ts';

/** Of everything that gateways keep in the bucket. */
export const BLOB_PREFIX = 'blobs';

export interface Data {
  readonly database: rds.DatabaseInstance;
  readonly photos: s3.Bucket;
  readonly authority: secrets.Secret;
}

export function createData(scope: Construct, config: Config, network: Network): Data {
  return {
    database: createDatabase(scope, config, network),
    photos: createPhotos(scope, config),
    authority: createAuthority(scope),
  };
}

function createDatabase(scope: Construct, config: Config, { vpc, database }: Network): rds.DatabaseInstance {
  const engine = rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_17 });
  return new rds.DatabaseInstance(scope, 'Database', {
    engine,
    vpc,
    vpcSubnets: ISOLATED,
    securityGroups: [database],
    instanceType: new ec2.InstanceType(config.databaseInstanceType),
    multiAz: config.databaseMultiAz,
    allocatedStorage: config.databaseStorageGb,
    maxAllocatedStorage: config.databaseStorageGb * 5,
    storageType: rds.StorageType.GP3,
    storageEncrypted: true,
    databaseName: 'postern',
    credentials: rds.Credentials.fromGeneratedSecret('postern', {
      excludeCharacters: ' %+~`#$&*()|[]{}:;<>?!\'/@"\\=^,',
    }),
    parameterGroup: new rds.ParameterGroup(scope, 'DatabaseParameters', {
      engine,
      parameters: {
        'rds.force_ssl': '1',
        // A dead gateway must not hold rows: what it had open ends with it within this time.
        idle_in_transaction_session_timeout: '15000',
        tcp_keepalives_idle: '10',
        tcp_keepalives_interval: '5',
        tcp_keepalives_count: '3',
        // Rows of jobs live for seconds; vacuum has to come often and in small bites.
        autovacuum_naptime: '10',
      },
    }),
    backupRetention: Duration.days(7),
    deletionProtection: true,
    removalPolicy: RemovalPolicy.SNAPSHOT,
    cloudwatchLogsExports: ['postgresql'],
    enablePerformanceInsights: false,
    autoMinorVersionUpgrade: true,
  });
}

function createPhotos(scope: Construct, config: Config): s3.Bucket {
  return new s3.Bucket(scope, 'Photos', {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    encryption: s3.BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    removalPolicy: RemovalPolicy.RETAIN,
    lifecycleRules: [
      // Postern deletes what nobody needs; this takes what was on its way when a gateway or a browser went (docs/storage.md).
      ...['drafts', 'incoming', 'photos/incoming'].map((place) => ({
        id: place.replace('/', '-'),
        prefix: `${BLOB_PREFIX}/${place}/`,
        expiration: Duration.days(1),
      })),
      { id: 'parts', abortIncompleteMultipartUploadAfter: Duration.days(1) },
    ],
    // Browsers send photos here themselves, with a form that a gateway has signed for one key, size and type.
    cors:
      config.domain === null
        ? []
        : [
            {
              allowedOrigins: [`https://${config.domain}`],
              allowedMethods: [s3.HttpMethods.POST],
              allowedHeaders: ['*'],
              maxAge: 3600,
            },
          ],
  });
}

/** The certificate authority of the workers. Made and put there by a person, so that its key is in no template and no log. */
function createAuthority(scope: Construct): secrets.Secret {
  return new secrets.Secret(scope, 'Authority', {
    description: 'identity/ of a gateway as a tar.gz in base64: docs/aws.md says how it gets here',
    removalPolicy: RemovalPolicy.RETAIN,
  });
}
