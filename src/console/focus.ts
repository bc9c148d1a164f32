// Moves the keyboard focus when the focused element is gone.
import { useEffect, useRef } from "preact/hooks";

/** Moves the focus to the beginning of the page, without scrolling to it. */
export function focusPage(): void {
  document.getElementById("main")?.focus({ preventScroll: true });
}

/** Returns a ref to an element that gets the focus when it appears. It needs a tabIndex of -1. */
export function useFocus<Type extends HTMLElement>() {
  const ref = useRef<Type>(null);
  useEffect(() => ref.current?.focus(), []);
  return ref;
}
