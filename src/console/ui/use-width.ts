// The width of an element. A drawing is laid out for it, so that its letters keep their size.
import { useEffect, useState } from "preact/hooks";

export function useWidth(ref: { readonly current: HTMLElement | null }, min: number): number {
  const [width, setWidth] = useState(640);
  useEffect(() => {
    if (ref.current === null) return;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setWidth(Math.max(min, Math.floor(entry.contentRect.width)));
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}
