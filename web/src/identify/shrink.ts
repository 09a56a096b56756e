/**
 * Photos are made small before they travel: the long side 1,024 px, JPEG, upright, without what the camera wrote into them
 * (the place among it). What this browser cannot decode goes as it is; the gateway says what it is.
 */
const LONG_SIDE = 1_024;
const QUALITY = 0.86;

export type Shrunk =
  | { readonly type: 'photo'; readonly blob: Blob }
  | { readonly type: 'problem'; readonly problem: 'empty' | 'not_a_photo' | 'too_large' };

/** `max_bytes` and `types` are what the gateway takes. */
export async function shrink(file: File, max_bytes: number, types: readonly string[]): Promise<Shrunk> {
  if (file.size === 0) return { type: 'problem', problem: 'empty' };
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    if (!types.includes(file.type)) return { type: 'problem', problem: 'not_a_photo' };
    return file.size > max_bytes ? { type: 'problem', problem: 'too_large' } : { type: 'photo', blob: file };
  }
  try {
    return { type: 'photo', blob: await draw(image) };
  } finally {
    image.close();
  }
}

async function draw(image: ImageBitmap): Promise<Blob> {
  const scale = Math.min(1, LONG_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('the browser gives no canvas');
  // JPEG has no transparency; white is what a viewer would show behind it.
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('the canvas gives no JPEG'))),
      'image/jpeg',
      QUALITY,
    ),
  );
}
