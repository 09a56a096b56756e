/** Who sits here, for other machines' locks and audit logs: `ana@laptop`. */
import { hostname, userInfo } from 'node:os';

export const personHere = (): string => `${userInfo().username}@${hostname()}`;
