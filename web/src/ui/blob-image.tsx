/** A picture that is only in this browser. */
import { useEffect, useState, type ReactElement } from 'react';

export function BlobImage({
  blob,
  alt,
  className = '',
}: {
  readonly blob: Blob;
  readonly alt: string;
  readonly className?: string;
}): ReactElement {
  const [url, setUrl] = useState('');
  useEffect(() => {
    const made = URL.createObjectURL(blob);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  // Until the address is there, an empty frame of the same size.
  return url === '' ? <span className={className} /> : <img src={url} alt={alt} className={className} />;
}
