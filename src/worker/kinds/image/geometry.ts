/**
 * Where the pixels of a photo go: the size that it is resized to, and the middle that is cut out of that. Worked out
 * here, in whole pixels, as the training code does it (Pillow and torchvision: round the long side, cut from the floor of
 * the half), so that the network sees in service what it saw in training.
 */
import type { Size } from '../../../images/images.ts';
import type { ImageClassificationManifest } from '../../manifest.ts';

type Input = Pick<ImageClassificationManifest['input'], 'width' | 'height' | 'fit' | 'scale'>;

export interface Placement {
  readonly resized: Size;
  /** The photo keeps its shape, and what is left over of `resized` is padded. */
  readonly padded: boolean;
  readonly left: number;
  readonly top: number;
}

export function placePhoto(input: Input, photo: Size): Placement {
  const sides = { width: Math.round(input.width * input.scale), height: Math.round(input.height * input.scale) };
  const resized = input.fit === 'cover' ? cover(sides, photo) : sides;
  return {
    resized,
    padded: input.fit === 'contain',
    left: Math.floor((resized.width - input.width) / 2),
    top: Math.floor((resized.height - input.height) / 2),
  };
}

function cover(sides: Size, photo: Size): Size {
  const factor = Math.max(sides.width / photo.width, sides.height / photo.height);
  return {
    width: Math.max(sides.width, Math.round(photo.width * factor)),
    height: Math.max(sides.height, Math.round(photo.height * factor)),
  };
}
