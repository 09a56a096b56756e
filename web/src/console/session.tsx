/** Who uses the console: asked first; without an answer there is the sign-in and nothing else. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, use, useCallback, useMemo, useState, type ReactElement, type ReactNode } from 'react';
import { PosternError } from '../../../src/errors.ts';
import { Problem } from '../ui/problem.tsx';
import { PageSkeleton } from '../ui/skeleton.tsx';
import { ADMIN, whoQuery, write } from './api.ts';
import { Login } from './login.tsx';
import type { AdminSession, WhoAmI } from './shapes.ts';

interface Session {
  readonly who: WhoAmI;
  /** Sends a write as whoever is signed in. */
  readonly send: <T>(path: string, value?: unknown) => Promise<T | null>;
  readonly signIn: (key: string) => Promise<void>;
  readonly signOut: () => Promise<void>;
  /** From the first key on the gateway asks for one: its maker is signed in with it before anything else is asked. */
  readonly makeFirstKey: <T extends { readonly key: string }>(wish: unknown) => Promise<T | null>;
}

const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = use(SessionContext);
  if (session === null) throw new Error('useSession outside of the console');
  return session;
}

export function SessionProvider({ children }: { readonly children: ReactNode }): ReactElement {
  const queries = useQueryClient();
  const { data: who, error, refetch } = useQuery(whoQuery);
  const [wasIn, setWasIn] = useState(false);
  /** The first key is being made: whatever is refused in between, the page stays, because the key is on it. */
  const [isHeld, setHeld] = useState(false);

  const signIn = useCallback(
    async (key: string) => {
      await write<AdminSession>('/admin/login', null, { key });
      await queries.invalidateQueries({ queryKey: [ADMIN] });
      setWasIn(true);
    },
    [queries],
  );
  const signOut = useCallback(async () => {
    await write('/admin/logout', null);
    // What was read as an administrator is not left behind for the next one at this screen.
    queries.removeQueries({ queryKey: [ADMIN], predicate: ({ queryKey }) => queryKey[1] !== 'who' });
    await queries.resetQueries({ queryKey: whoQuery.queryKey });
  }, [queries]);
  const proof = who?.session?.csrf_token ?? null;
  const send = useCallback(
    async <T,>(path: string, value?: unknown): Promise<T | null> => {
      try {
        return await write<T>(path, proof, value);
      } catch (thrown) {
        if (thrown instanceof PosternError && thrown.code === 'unauthorized') void refetch();
        throw thrown;
      }
    },
    [proof, refetch],
  );
  const makeFirstKey = useCallback(
    async <T extends { readonly key: string }>(wish: unknown): Promise<T | null> => {
      setHeld(true);
      try {
        const made = await write<T>('/v1/admin/keys', null, wish);
        if (made !== null) await signIn(made.key);
        return made;
      } finally {
        setHeld(false);
      }
    },
    [signIn],
  );
  const session = useMemo(
    () => (who === undefined ? null : { who, send, signIn, signOut, makeFirstKey }),
    [who, send, signIn, signOut, makeFirstKey],
  );

  if (error instanceof PosternError && error.code === 'unauthorized' && !isHeld) {
    return <Login signIn={signIn} wasIn={wasIn || who !== undefined} />;
  }
  if (session !== null) return <SessionContext value={session}>{children}</SessionContext>;
  if (error !== null) return <Problem error={error} page onRetry={() => void refetch()} />;
  return <PageSkeleton />;
}
