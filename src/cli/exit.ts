/** What a command's exit code means; documented in every `--help`. */
export const EXIT_OK = 0;
/** The operation failed, in all or in part. */
export const EXIT_FAILED = 1;
/** The command line or the settings were wrong: nothing was tried. */
export const EXIT_USAGE = 2;
