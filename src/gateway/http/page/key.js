/* global sessionStorage */
/**
 * The API key, where the gateway asks for one. It lives in this tab: a reload keeps it, closing the tab forgets it. It is
 * sent in a header and never stands in an address, which histories, logs and other sites would see.
 */

const PLACE = 'postern.key';
/** What fits in a header: whether it is a key, the gateway says. */
const PATTERN = /^[\x21-\x7e]{1,200}$/;

let key = kept();

function kept() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    // Storage may be forbidden; then the key lives as long as the page.
    return null;
  }
}

export const hasKey = () => key !== null;

/** False: this cannot be one. */
export function useKey(text) {
  if (!PATTERN.test(text)) return false;
  key = text;
  try {
    sessionStorage.setItem(PLACE, text);
  } catch {
    // As above.
  }
  return true;
}

export function forgetKey() {
  key = null;
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // As above: there is nothing to remove.
  }
}

/** Headers to be sent with every request. */
export const authorization = () => (key === null ? {} : { authorization: `Bearer ${key}` });
