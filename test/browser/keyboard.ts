// A person without a mouse.
import type { Page } from "playwright-core";

/** Returns the name of the element that has the focus. It runs in the page. */
export const FOCUSED = `(document.activeElement === document.body
  ? []
  : [...(document.activeElement?.labels ?? []), document.activeElement])
  .map((each) => each?.getAttribute("aria-label") ?? each?.textContent)
  .join(" ")`;

/** Presses Tab until the focus is on the element with this name. */
export async function tabTo(page: Page, name: RegExp): Promise<void> {
  for (let i = 0; i < 200; i++) {
    await page.keyboard.press("Tab");
    const called = await page.evaluate<string>(FOCUSED);
    if (name.test(called.trim())) return;
  }
  throw new Error(`the keyboard does not reach ${name}`);
}
