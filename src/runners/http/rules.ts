/** Which requests a service takes: methods and paths that its owner wrote down, and nothing else. */
import { PosternError } from '../../errors.ts';

export interface PathRule {
  readonly methods: readonly string[];
  /** `*`: one segment. `**` at the end: any rest. */
  readonly path: string;
  readonly maxBodyBytes: number;
  /** From the request until the head of its answer. */
  readonly responseTimeoutMs: number;
}

/** Returns the first rule that fits. Throws not_found or method_not_allowed. */
export function createRules(rules: readonly PathRule[]): (method: string, path: string) => PathRule {
  const compiled = rules.map((rule) => ({ rule, pattern: patternOf(rule.path), methods: new Set(rule.methods) }));
  return (method, path) => {
    const query = path.indexOf('?');
    const plain = query === -1 ? path : path.slice(0, query);
    let isPath = false;
    for (const { rule, pattern, methods } of compiled) {
      if (!pattern.test(plain)) continue;
      isPath = true;
      // What may be read may be asked for its head.
      if (methods.has(method) || (method === 'HEAD' && methods.has('GET'))) return rule;
    }
    if (isPath) throw new PosternError('method_not_allowed', `The service does not take ${method} at this path.`);
    throw new PosternError('not_found', 'The service does not offer this path.');
  };
}

function patternOf(path: string): RegExp {
  const parts = path.split('/').map((part) => {
    if (part === '**') return '.*';
    return part === '*' ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('/')}$`);
}
