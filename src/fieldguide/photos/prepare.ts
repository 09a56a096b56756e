/**
 * A photo as the field guide keeps it: turned as EXIF says, at most {@link MAX_SIDE_PX} long, in sRGB, written anew as JPEG. Nothing of the
 * file that was sent is in it but its pixels: no place, no time, no camera, no thumbnail of before somebody cropped it.
 */
import type { Clock } from '../../clock.ts';
import { readImage, type SharpModule } from '../../images/images.ts';

/** What a person can look at on a screen; the models look at 128 px. */
export const MAX_SIDE_PX = 1_600;
/** Of a list, on a screen with two pixels a point. */
const THUMB_SIDE_PX = 320;
const QUALITY = 86;
/** A phone's largest. Decoded it takes 150 MB, for a moment, in a process of its own. */
export const MAX_PIXELS = 50_000_000;

export interface PreparedPhoto {
  readonly photo: Uint8Array;
  readonly thumb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Throws empty_input, not_an_image, image_truncated, image_too_large or input_invalid. */
export async function preparePhoto(sharp: SharpModule, bytes: Uint8Array, clock: Clock): Promise<PreparedPhoto> {
  // sharp keeps no metadata unless it is told to, and `toColourspace` makes a colour profile unnecessary.
  const { data, info } = await readImage(sharp, bytes, { maxPixels: MAX_PIXELS, clock }, (image) =>
    image
      .flatten({ background: '#ffffff' })
      .resize(MAX_SIDE_PX, MAX_SIDE_PX, { fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .jpeg({ quality: QUALITY }),
  );
  const thumb = await sharp(data)
    .resize(THUMB_SIDE_PX, THUMB_SIDE_PX, { fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: QUALITY })
    .toBuffer();
  return { photo: data, thumb, width: info.width, height: info.height };
}
