/** The heading of a page: it names the tab, and takes the focus when somebody came here from another page of the app. */
import { useEffect, useRef, type ReactElement, type ReactNode } from 'react';
import { NavigationType, useNavigationType } from 'react-router';
import { setPageTitle } from './title.ts';
import { useGuideTitle } from './use-guide-title.ts';

interface PageHeadingProps {
  readonly children: ReactNode;
  /** Of the tab; the heading's own text where that is a text. */
  readonly title: string;
  readonly className?: string;
}

/** The first page that is shown is read from its top; only what follows moves the focus. */
let shownBefore = false;

export function PageHeading({ children, title, className = 'text-2xl' }: PageHeadingProps): ReactElement {
  const ref = useRef<HTMLHeadingElement>(null);
  const suffix = useGuideTitle();
  const how = useNavigationType();
  useEffect(() => {
    setPageTitle(title === suffix ? title : `${title} · ${suffix}`);
  }, [title, suffix]);
  useEffect(() => {
    // Going back restores the place where somebody was; focusing the heading would scroll away from it.
    if (shownBefore) ref.current?.focus({ preventScroll: how === NavigationType.Pop });
    shownBefore = true;
    // Once for each page, not for each change of its address.
  }, []);
  return (
    <h1 ref={ref} tabIndex={-1} className={className}>
      {children}
    </h1>
  );
}
