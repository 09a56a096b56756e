/** The photos that somebody has chosen of one plant and not sent yet. */
import { useCallback, useState } from 'react';
import { shrink, type Shrunk } from './shrink.ts';

export interface Limits {
  readonly max_photos: number;
  readonly max_bytes: number;
  readonly types: readonly string[];
}

type ProblemKind = Extract<Shrunk, { type: 'problem' }>['problem'] | 'too_many';

export interface PhotoProblem {
  readonly name: string;
  readonly problem: ProblemKind;
}

export interface Photos {
  readonly blobs: readonly Blob[];
  readonly problems: readonly PhotoProblem[];
  /** Are some being made small now? */
  readonly busy: boolean;
  add(files: readonly File[]): Promise<void>;
  remove(index: number): void;
  clear(): void;
}

export function usePhotos({ max_photos, max_bytes, types }: Limits): Photos {
  const [blobs, setBlobs] = useState<readonly Blob[]>([]);
  const [problems, setProblems] = useState<readonly PhotoProblem[]>([]);
  const [working, setWorking] = useState(0);

  const add = useCallback(
    async (files: readonly File[]) => {
      setWorking((now) => now + 1);
      const found: PhotoProblem[] = [];
      try {
        // One after the other: a phone has no memory for five decoded photos at once.
        for (const file of files.slice(0, max_photos)) {
          const shrunk = await shrink(file, max_bytes, types);
          if (shrunk.type === 'problem') found.push({ name: file.name, problem: shrunk.problem });
          else {
            setBlobs((now) => (now.length < max_photos ? [...now, shrunk.blob] : now));
          }
        }
        for (const file of files.slice(max_photos)) found.push({ name: file.name, problem: 'too_many' });
      } finally {
        setProblems(found);
        setWorking((now) => now - 1);
      }
    },
    [max_photos, max_bytes, types],
  );

  return {
    blobs,
    problems,
    busy: working > 0,
    add,
    remove: (index) => setBlobs((now) => now.filter((_, at) => at !== index)),
    clear() {
      setBlobs([]);
      setProblems([]);
    },
  };
}
