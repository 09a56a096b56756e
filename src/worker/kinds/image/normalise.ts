/**
 * RGB bytes, interleaved, to the float planes that a network takes: (value / 255 − mean) / std per channel. A byte has
 * 256 values, so the arithmetic is done once for each and looked up after that: three loads and stores per pixel.
 */
export type Normalise = (pixels: Uint8Array, planes: Float32Array, offset: number) => void;

const LEVELS = 256;

/** `pixelCount` is width × height; one image takes 3 × pixelCount floats at `offset`. */
export function createNormalise(mean: readonly number[], std: readonly number[], pixelCount: number): Normalise {
  const [red, green, blue] = [0, 1, 2].map((channel) => {
    const table = new Float32Array(LEVELS);
    for (let level = 0; level < LEVELS; level++) table[level] = (level / 255 - mean[channel]!) / std[channel]!;
    return table;
  }) as [Float32Array, Float32Array, Float32Array];

  return (pixels, planes, offset) => {
    const greenAt = offset + pixelCount;
    const blueAt = greenAt + pixelCount;
    for (let pixel = 0, at = 0; pixel < pixelCount; pixel++, at += 3) {
      planes[offset + pixel] = red[pixels[at]!]!;
      planes[greenAt + pixel] = green[pixels[at + 1]!]!;
      planes[blueAt + pixel] = blue[pixels[at + 2]!]!;
    }
  };
}
