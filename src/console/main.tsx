// The console: everything that the HTTP API tells, for people. It runs in a browser, and asks this broker alone.
import { render } from "preact";
import { startClock } from "./clock.ts";
import "./console.css";
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
