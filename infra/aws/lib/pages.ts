/**
 * The pages: files in a closed bucket, CloudFront before it. The API is under the same name, so that the browser keeps one
 * origin: its cookie is a first-party one, and no CORS question costs a round trip.
 */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import * as origins from 'aws-cdk-lib/aws-cloudfront-origins';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { Config } from './config.ts';

export interface Pages {
  readonly bucket: s3.Bucket;
  readonly distribution: cloudfront.Distribution;
}

/** Everything that a gateway answers. */
const API_PATHS = ['/api/*', '/v1/*', '/v2/*', '/openai/*', '/services/*', '/docs', '/docs/*', '/openapi.json'];

/** The app has addresses that are no files (`/guides/plants/rose`): they are its index. A name with a dot is a file. */
const TO_INDEX = `function handler(event) {
  var request = event.request;
  var last = request.uri.split('/').pop();
  if (last.indexOf('.') === -1) request.uri = '/index.html';
  return request;
}`;

/** The same as the gateway sends with these pages. */
const CSP = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "style-src 'self' 'unsafe-inline'",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'self'",
];

export function createPages(scope: Construct, config: Config, photosOrigin: string): Pages {
  const bucket = new s3.Bucket(scope, 'Pages', {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    encryption: s3.BucketEncryption.S3_MANAGED,
    enforceSSL: true,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    removalPolicy: RemovalPolicy.DESTROY,
    // Old assets stay for pages that are open in a browser while a new version goes out.
    lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1) }],
  });
  const headers = new cloudfront.ResponseHeadersPolicy(scope, 'PageHeaders', {
    securityHeadersBehavior: {
      contentSecurityPolicy: {
        contentSecurityPolicy: [...CSP, `connect-src 'self' ${photosOrigin}`].join('; '),
        override: true,
      },
      contentTypeOptions: { override: true },
      frameOptions: { frameOption: cloudfront.HeadersFrameOption.DENY, override: true },
      referrerPolicy: { referrerPolicy: cloudfront.HeadersReferrerPolicy.NO_REFERRER, override: true },
      strictTransportSecurity: { accessControlMaxAge: Duration.days(365), override: true },
    },
    customHeadersBehavior: {
      customHeaders: [
        { header: 'permissions-policy', value: 'camera=(self), geolocation=(), microphone=()', override: true },
      ],
    },
  });
  const files = origins.S3BucketOrigin.withOriginAccessControl(bucket);
  const pages: Omit<cloudfront.BehaviorOptions, 'origin'> = {
    viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
    responseHeadersPolicy: headers,
    compress: true,
  };
  const api = new origins.HttpOrigin(config.apiDomain ?? '', {
    protocolPolicy: cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
    originSslProtocols: [cloudfront.OriginSslPolicy.TLS_V1_2],
    // A long poll is answered within 60 s, and CloudFront allows no more.
    readTimeout: Duration.seconds(60),
    // Shorter than the balancer's, so that CloudFront never sends into a connection that is being closed.
    keepaliveTimeout: Duration.seconds(50),
  });
  const passThrough: cloudfront.BehaviorOptions = {
    origin: api,
    viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
    allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
    cachePolicy: cloudfront.CachePolicy.CACHING_DISABLED,
    originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
  };
  const distribution = new cloudfront.Distribution(scope, 'Distribution', {
    comment: `${config.name}: pages and API`,
    domainNames: config.domain === null ? [] : [config.domain],
    certificate: acm.Certificate.fromCertificateArn(scope, 'PagesCertificate', config.pagesCertificateArn ?? ''),
    minimumProtocolVersion: cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
    httpVersion: cloudfront.HttpVersion.HTTP2_AND_3,
    priceClass: cloudfront.PriceClass.PRICE_CLASS_200,
    defaultRootObject: 'index.html',
    defaultBehavior: {
      origin: files,
      ...pages,
      // The objects say themselves how long they count: the index `no-cache`, assets a year (deploy-web.yml).
      cachePolicy: new cloudfront.CachePolicy(scope, 'AsTheObjectSays', {
        minTtl: Duration.seconds(0),
        defaultTtl: Duration.seconds(0),
        maxTtl: Duration.days(365),
        enableAcceptEncodingBrotli: true,
        enableAcceptEncodingGzip: true,
      }),
      functionAssociations: [
        {
          eventType: cloudfront.FunctionEventType.VIEWER_REQUEST,
          function: new cloudfront.Function(scope, 'ToIndex', {
            code: cloudfront.FunctionCode.fromInline(TO_INDEX),
            runtime: cloudfront.FunctionRuntime.JS_2_0,
          }),
        },
      ],
    },
    additionalBehaviors: {
      '/assets/*': { origin: files, ...pages, cachePolicy: cloudfront.CachePolicy.CACHING_OPTIMIZED },
      ...Object.fromEntries(API_PATHS.map((path) => [path, passThrough])),
    },
  });
  return { bucket, distribution };
}
