// The lesson: consumer groups on the running broker, with members in this page. It is a separate page, because
// it loads the SDK.
import { render } from "preact";
import { resume } from "../session.ts";
import { showTheme } from "../theme.ts";
import { stop } from "./lesson.ts";
import { LearnPage } from "./page.tsx";

showTheme();
void resume();
// The members stop when the page is left.
addEventListener("pagehide", () => void stop());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});
const root = document.getElementById("console");
if (root !== null) {
  root.replaceChildren();
  render(<LearnPage />, root);
}
