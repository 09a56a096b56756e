/**
 * A configuration for nginx in front of a gateway, for its `http` block. It is printed and never installed by itself: what else nginx
 * serves is not ours to know.
 */
export interface NginxConfigOptions {
  readonly serverName: string;
  readonly certificate: string;
  readonly certificateKey: string;
  readonly bodyLimitBytes: number;
  /** One fixed port (the supervisor's socket), or the file that says which of two, and where a switch is verified. */
  readonly target: { readonly port: number } | { readonly include: string; readonly checkPort: number };
  /** Of the nginx that will read it; null: not known. */
  readonly version: string | null;
  /** 443 and 80, unless a test wants others. */
  readonly ports?: { readonly https: number; readonly http: number };
}

/** The longest wait of the gateway is 60 s; it cuts what stands still after 75. */
const READ_TIMEOUT_S = 80;
/** The first version with keepalive_min_timeout. */
const MIN_TIMEOUT_SINCE = [1, 27, 4];

export function nginxConfiguration(options: NginxConfigOptions): string {
  const { serverName, target, certificate, certificateKey } = options;
  const { https, http } = options.ports ?? { https: 443, http: 80 };
  const isFixed = 'port' in target;
  const proxied = isFixed ? 'proxy_pass http://postern;' : 'proxy_pass $service_url;';
  const lookUp = isFixed ? '' : `\n  include ${target.include};\n`;
  return `# Made by \`postern supervise --nginx-config ${serverName}\`. For the http block, for example as /etc/nginx/conf.d/postern.conf.
# The gateway needs POSTERN_TRUSTED_PROXIES=127.0.0.1 and POSTERN_PUBLIC_URL=https://${serverName}.
${isFixed ? upstream(target.port) : check(target.include, target.checkPort)}
server {
  listen ${http};
  listen [::]:${http};
  server_name ${serverName};
  return 301 https://$host$request_uri;
}

server {
  listen ${https} ssl http2;
  listen [::]:${https} ssl http2;
  server_name ${serverName};

  ssl_certificate ${certificate};
  ssl_certificate_key ${certificateKey};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:postern:2m;
  ssl_session_timeout 1d;
  ssl_session_tickets off;

  # As POSTERN_BODY_LIMIT_BYTES: a larger body is refused here, before it is stored.
  client_max_body_size ${options.bodyLimitBytes};
  client_header_timeout 15s;
  client_body_timeout 60s;
  send_timeout 60s;
  keepalive_timeout 65s;
${minTimeout(options.version)}
  gzip on;
  gzip_proxied any;
  gzip_min_length 1024;
  gzip_types application/json application/problem+json text/css text/javascript application/javascript image/svg+xml text/plain;
${lookUp}
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_connect_timeout 5s;
  # Longer than the longest wait (Prefer: wait=60), and than the pause between two lines of an event stream (15 s).
  proxy_read_timeout ${READ_TIMEOUT_S}s;
  proxy_send_timeout 60s;
  # A request that is not idempotent is never sent twice.
  proxy_next_upstream error timeout;
${isFixed ? '' : STREAMED}
  location / {
    ${proxied}
  }

  # Their names hold a hash of their content: what was fetched once is good for ever.
  location /assets/ {
    ${proxied}
    proxy_hide_header Cache-Control;
    add_header Cache-Control "public, max-age=31536000, immutable";
  }
}
`;
}

/** Two ports take turns: what was read whole first would be sent to one that has been given up meanwhile. */
const STREAMED = `  # An upload goes on as it comes, to the instance that serves when it begins. Read whole first, a slow one would end after a
  # switch and be sent to a port where nobody listens any more.
  proxy_request_buffering off;
`;

const upstream = (port: number): string => `
upstream postern {
  server 127.0.0.1:${port};
  keepalive 64;
  # Below the gateway's 72 s, so that it is nginx that ends an idle connection.
  keepalive_timeout 60s;
}
`;

const check = (include: string, port: number): string => `
# Where the supervisor verifies a switch: through this nginx, from this machine alone.
server {
  listen 127.0.0.1:${port};
  include ${include};
  location = /readyz {
    proxy_pass $service_url;
    proxy_set_header Host localhost;
  }
  location / {
    return 404;
  }
}
`;

function minTimeout(version: string | null): string {
  const numbers = (version ?? '').split('.').map(Number);
  const difference = MIN_TIMEOUT_SINCE.map((wanted, index) => (numbers[index] ?? 0) - wanted).find((one) => one !== 0);
  if (version !== null && (difference ?? 0) >= 0) {
    return `  # A reload leaves idle connections open for so long, so that a request that is on its way on one is answered.
  keepalive_min_timeout 10s;
`;
  }
  return `  # Since nginx 1.27.4, "keepalive_min_timeout 10s;" here keeps a reload from closing an idle connection on which a request is on its way.
  # Older ones do close it: see docs/operating.md. Without reloads (POSTERN_FRONT=sockets) the question does not arise.
`;
}
