// The console's current address: that of the browser, as a signal. Links of the console change it without
// loading a page.
import { signal } from "@preact/signals";
import { parseRoute, type Route } from "./router.ts";

const here = (): Route => parseRoute(location.pathname, location.search);

export const route = signal<Route>(here());

/** Goes to a page of the console. */
export function navigate(path: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  route.value = here();
  if (!replace) scrollTo(0, 0);
}

/**
 * Follows links to pages of the console. The browser handles other links, those of the lesson, and those for a
 * new window.
 */
function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href");
  if (!href || !/^\/console(?!\/(assets|learn))/.test(href)) return;
  event.preventDefault();
  navigate(href);
}

export function startNavigation(): void {
  addEventListener("popstate", () => {
    route.value = here();
  });
  document.addEventListener("click", follow);
}
