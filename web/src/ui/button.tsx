/** Buttons and links that look like buttons; at least 44 px high, so that a thumb finds them. */
import type { ComponentProps, ReactElement, ReactNode } from 'react';
import { Link, type LinkProps } from 'react-router';
import { Icon, type IconName } from './icons.tsx';

export type ButtonTone = 'call' | 'solid' | 'plain' | 'quiet' | 'grave';

const TONES: Readonly<Record<ButtonTone, string>> = {
  call: 'bg-lichen text-on-lichen hover:bg-lichen-deep border-transparent',
  solid: 'bg-leaf text-on-leaf hover:opacity-90 border-transparent',
  plain: 'bg-surface text-ink border-edge hover:bg-sunk',
  quiet: 'bg-transparent text-ink border-transparent hover:bg-sunk',
  grave: 'bg-surface text-deadly border-deadly hover:bg-deadly-wash',
};

export const buttonClass = (tone: ButtonTone = 'plain', more = ''): string =>
  `inline-flex min-h-11 items-center justify-center gap-2 rounded-md border px-4 py-2 text-sm font-semibold no-underline transition-colors disabled:opacity-55 ${TONES[tone]} ${more}`;

interface Looks {
  readonly tone?: ButtonTone;
  readonly icon?: IconName;
  readonly children: ReactNode;
}

export function Button({
  tone = 'plain',
  icon,
  children,
  className = '',
  type = 'button',
  ...rest
}: Looks & ComponentProps<'button'>): ReactElement {
  return (
    <button type={type} className={buttonClass(tone, className)} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

export function ButtonLink({
  tone = 'plain',
  icon,
  children,
  className = '',
  ...rest
}: Looks & LinkProps): ReactElement {
  return (
    <Link className={buttonClass(tone, className)} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </Link>
  );
}

/** An icon alone, with a label for those who do not see it. */
export function IconButton({
  icon,
  label,
  className = '',
  ...rest
}: { readonly icon: IconName; readonly label: string } & ComponentProps<'button'>): ReactElement {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      className={`inline-flex size-11 items-center justify-center rounded-md text-ink hover:bg-sunk ${className}`}
      {...rest}
    >
      <Icon name={icon} size={22} />
    </button>
  );
}
