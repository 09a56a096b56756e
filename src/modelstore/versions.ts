/** Which versions a place has. */
import { PosternError } from '../errors.ts';
import { modelName, modelVersion } from '../protocol/messages.ts';
import { compareVersions } from '../protocol/version-order.ts';
import { manifestPath, MAX_STORED_MANIFEST_BYTES } from './manifest.ts';
import type { ModelPlace } from './place.ts';

/** Highest first. */
export async function versionsAt(place: ModelPlace, name: string): Promise<string[]> {
  const found = await listed(place, name);
  // `files` has the form of a version's name, and is the folder of all versions' files.
  const versions = found.filter((folder) => folder !== 'files' && modelVersion.safeParse(folder).success);
  return versions.sort(compareVersions).reverse();
}

export async function newestVersion(place: ModelPlace, name: string): Promise<string> {
  for (const version of await versionsAt(place, name)) {
    // A folder without a manifest is one that somebody is pushing, or was.
    if ((await place.readSmall(manifestPath(name, version), MAX_STORED_MANIFEST_BYTES)) !== null) return version;
  }
  throw new PosternError('model_not_found', `there is no version of ${name} at ${place.address}`);
}

export async function namesAt(place: ModelPlace): Promise<string[]> {
  return (await listed(place, '')).filter((folder) => modelName.safeParse(folder).success).sort();
}

async function listed(place: ModelPlace, path: string): Promise<string[]> {
  const found = await place.folders(path);
  if (found !== null) return found;
  throw new PosternError('config_invalid', `${place.address} cannot be listed: say which version, like plants@2`);
}
