/* global createImageBitmap, document */
/** A photo made ready to send: turned the right way up, at most MAX_EDGE pixels wide or high, without its metadata. */

/** Models look at far fewer pixels; at this size an upload takes a second on a poor connection. */
const MAX_EDGE = 1024;
const QUALITY = 0.9;

/**
 * Resolves with `{ body, type }`. What the browser cannot read (HEIC on most) goes out as it is, up to the gateway's limit:
 * the worker may know the format, and says so if not.
 */
export async function preparePhoto(file) {
  if (file.size === 0) return { body: file, type: 'application/octet-stream', shrunk: false };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    return { body: file, type: file.type.startsWith('image/') ? file.type : 'application/octet-stream', shrunk: false };
  }
  const scale = Math.min(1, MAX_EDGE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext('2d');
  // JPEG has no transparency: what was see-through would turn black.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const body = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY));
  if (body === null) return { body: file, type: file.type || 'application/octet-stream', shrunk: false };
  return { body, type: 'image/jpeg', shrunk: true };
}
