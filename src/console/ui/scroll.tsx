// A region whose content may be wider or longer than its space. It scrolls with the keyboard too, so it has a
// name and can be focused.
import type { ComponentChildren } from "preact";

export function Scroll(props: { label: string; class?: string; children: ComponentChildren }) {
  const { label, class: name = "", children } = props;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached with the keyboard.
    <section class={`scroll ${name}`} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
