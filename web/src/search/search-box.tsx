/**
 * Search as you type: a combobox (ARIA 1.2). Arrows choose, Enter opens, Escape closes and then empties, "/" leads here from
 * anywhere. Keys that belong to the composition of a Korean syllable are left to it.
 */
import { useQuery } from '@tanstack/react-query';
import { useDeferredValue, useEffect, useId, useRef, useState, type KeyboardEvent, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router';
import { suggestionsQuery } from '../api/guides.ts';
import { useGuide } from '../app/guide-context.tsx';
import { paths } from '../app/paths.ts';
import { Icon } from '../ui/icons.tsx';
import { Suggestions } from './suggestions.tsx';

/** The server refuses longer ones; no name is as long. */
const MAX_QUERY_CHARACTERS = 100;

export interface SearchBoxProps {
  /** Does "/" lead here? One of those that are shown at a time may say so. */
  readonly shortcut?: boolean;
  readonly autoFocus?: boolean;
  /** Called when somebody went somewhere from here. */
  readonly onLeave?: () => void;
}

export function SearchBox({ shortcut = false, autoFocus = false, onLeave }: SearchBoxProps): ReactElement {
  const { t } = useTranslation();
  const { guide } = useGuide();
  const navigate = useNavigate();
  const [parameters] = useSearchParams();
  const searched = parameters.get('q') ?? '';
  const [text, setText] = useState(searched);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const box = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const query = useDeferredValue(text.trim());
  const { data, isPlaceholderData } = useQuery(suggestionsQuery(guide.id, query));
  const items = query === '' ? [] : (data?.items ?? []);
  const shown = open && query !== '' && data !== undefined;
  // One after the entries: all results on a page.
  const last = items.length > 0 ? items.length : -1;

  useEffect(() => setText(searched), [searched]);
  useSlash(shortcut, input);

  const leave = (to: string): void => {
    setOpen(false);
    setActive(-1);
    onLeave?.();
    void navigate(to);
  };
  const choose = (index: number): void => {
    const item = items[index];
    if (item) leave(paths.entry(guide.id, item.id));
    // What stands in the field, and not what the list is about: who types quickly is ahead of it.
    else if (text.trim() !== '')
      leave(`${paths.entries(guide.id)}?${new URLSearchParams({ q: text.trim() }).toString()}`);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    // 229: what older Safari sends for the key that ends a composition.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move !== undefined && last >= 0) {
      event.preventDefault();
      setOpen(true);
      // −1 is the field itself: round through it.
      setActive((now) => ((now + 1 + move + last + 2) % (last + 2)) - 1);
    } else if (event.key === 'Enter') {
      event.preventDefault();
      choose(shown ? active : -1);
    } else if (event.key === 'Escape' && (shown || text !== '')) {
      event.preventDefault();
      event.stopPropagation();
      if (shown) setOpen(false);
      else setText('');
      setActive(-1);
    }
  };

  return (
    <div
      ref={box}
      role="search"
      className="relative"
      onBlur={(event) => {
        if (!box.current?.contains(event.relatedTarget)) setOpen(false);
      }}
    >
      <Icon name="search" className="pointer-events-none absolute top-3 left-3 text-soft" />
      <input
        ref={input}
        type="text"
        inputMode="search"
        enterKeyHint="search"
        role="combobox"
        aria-label={t('search.label')}
        aria-expanded={shown}
        aria-controls={shown ? `${id}-list` : undefined}
        aria-autocomplete="list"
        aria-activedescendant={shown && active >= 0 ? `${id}-${active}` : undefined}
        aria-keyshortcuts={shortcut ? '/' : undefined}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        autoFocus={autoFocus}
        maxLength={MAX_QUERY_CHARACTERS}
        placeholder={t('search.placeholder')}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setActive(-1);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onKeyDown={onKeyDown}
        className="h-11 w-full rounded-md border border-edge bg-surface pr-10 pl-10 text-sm text-ink placeholder:text-soft"
      />
      {text !== '' && (
        <button
          type="button"
          aria-label={t('search.clear')}
          className="absolute top-0 right-0 flex size-11 items-center justify-center text-soft hover:text-ink"
          onClick={() => {
            setText('');
            setActive(-1);
            input.current?.focus();
          }}
        >
          <Icon name="close" size={18} />
        </button>
      )}
      <div role="status" className="sr-only">
        {shown && !isPlaceholderData
          ? items.length === 0
            ? t('search.none', { query })
            : t('search.found', { count: items.length })
          : ''}
      </div>
      {shown && (
        <Suggestions id={id} items={items} query={query} active={active} onChoose={choose} onPoint={setActive} />
      )}
    </div>
  );
}

/** "/" leads to the field, unless somebody writes somewhere. */
function useSlash(wanted: boolean, input: React.RefObject<HTMLInputElement | null>): void {
  useEffect(() => {
    if (!wanted) return;
    const onKey = (event: globalThis.KeyboardEvent): void => {
      const { target } = event;
      const writing =
        target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
      if (event.key !== '/' || writing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [wanted, input]);
}
