/**
 * What the process of a model in Python sees of the environment. A list of what is allowed and not of what is secret: nobody
 * knows the names of other people's secrets.
 */
const ALLOWED: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'DYLD_LIBRARY_PATH',
  'PYTHONPATH',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'HF_HOME',
  'HF_HUB_OFFLINE',
  'TORCH_HOME',
  'KERAS_BACKEND',
  'KERAS_HOME',
]);
/** Settings of the locale, of caches, of GPUs and of the libraries for numbers. */
const ALLOWED_PREFIXES = [
  'LC_',
  'XDG_',
  'CUDA_',
  'NVIDIA_',
  'ROCR_',
  'HIP_',
  'OMP_',
  'MKL_',
  'OPENBLAS_',
  'TF_',
  'XLA_',
];

/** `more`: names that the operator lets through, with commas between; null: none. */
export function pythonEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  more: string | null,
): Readonly<Record<string, string>> {
  const named = new Set((more ?? '').split(',').map((name) => name.trim()));
  const seen: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    const allowed = ALLOWED.has(name) || named.has(name) || ALLOWED_PREFIXES.some((prefix) => name.startsWith(prefix));
    if (allowed) seen[name] = value;
  }
  return Object.freeze(seen);
}
