// The console: everything in the HTTP API, for people. It runs in a browser, and talks only to this broker.
import { render } from "preact";
import { startClock } from "./clock.ts";
import { startNavigation } from "./navigation.ts";
import { resume } from "./session.ts";
import { Shell } from "./shell.tsx";
import { showTheme } from "./theme.ts";

showTheme();
startNavigation();
startClock();
void resume();
const root = document.getElementById("console");
if (root !== null) {
  root.replaceChildren();
  render(<Shell />, root);
}

// Most parts that are loaded later use these. They come with the first script, and not in small files of their
// own.
export { Confirm } from "./ui/confirm.tsx";
export { CopyButton } from "./ui/copy-button.tsx";
export { Tabs } from "./ui/tabs.tsx";
