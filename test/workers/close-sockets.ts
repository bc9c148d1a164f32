// No test leaves a socket behind, in whichever file it is: files share a runtime, and some count its connections.
import { afterEach } from "vitest";
import { closeSockets } from "./support.ts";

afterEach(closeSockets);
