/** The list of photos to evaluate: a CSV with the columns file, class and, where there are some, source and split. */
import { readFile } from 'node:fs/promises';
import { PosternError } from '../../errors.ts';

export interface Photo {
  /** Relative to the manifest's folder, and the name inside `photos.tar`. */
  readonly file: string;
  readonly class: string;
  /** '' when the manifest has no such column. */
  readonly source: string;
  readonly split: string;
}

export async function readPhotoList(file: string): Promise<Photo[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new PosternError('config_invalid', `the manifest ${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return parsePhotoList(text, file);
}

/** Throws config_invalid that names the line. */
export function parsePhotoList(text: string, name: string): Photo[] {
  const [header, ...rows] = parseCsv(text);
  const column = (title: string): number => header?.indexOf(title) ?? -1;
  const [file, label, source, split] = [column('file'), column('class'), column('source'), column('split')];
  if (file === -1 || label === -1) {
    throw new PosternError(
      'config_invalid',
      `${name}: expected a first line with the columns file and class, got ${JSON.stringify(header?.join(',').slice(0, 80) ?? '')}`,
    );
  }
  return rows.map((row, index) => {
    const photo = {
      file: row[file] ?? '',
      class: row[label] ?? '',
      source: row[source] ?? '',
      split: row[split] ?? '',
    };
    if (photo.file === '' || photo.class === '') {
      throw new PosternError('config_invalid', `${name}, line ${index + 2}: file and class must not be empty`);
    }
    // The manifest may come from elsewhere; it names photos beside itself and nothing else.
    if (photo.file.startsWith('/') || photo.file.split('/').includes('..')) {
      throw new PosternError(
        'config_invalid',
        `${name}, line ${index + 2}: the file must lie below the manifest's folder`,
      );
    }
    return photo;
  });
}

/** RFC 4180: quotes around fields that hold commas, quotes (doubled) or line ends. Empty lines are passed over. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  const endRow = (): void => {
    row.push(field);
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
    field = '';
  };
  for (let i = text.startsWith('\ufeff') ? 1 : 0; i < text.length; i += 1) {
    const character = text[i] ?? '';
    if (quoted) {
      if (character !== '"') field += character;
      else if (text[i + 1] === '"') {
        field += '"';
        i += 1;
      } else quoted = false;
    } else if (character === '"' && field === '') quoted = true;
    else if (character === ',') {
      row.push(field);
      field = '';
    } else if (character === '\n') endRow();
    else if (character !== '\r') field += character;
  }
  if (field !== '' || row.length > 0) endRow();
  return rows;
}
