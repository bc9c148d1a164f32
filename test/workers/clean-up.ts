// Files share a runtime, so no test leaves anything behind, in whichever file it is. Some count the connections of the
// runtime, and /health counts the objects whose storage a test made fail.
import { afterEach, beforeEach } from "vitest";
import { forgetTroubles } from "../../src/storage-health.ts";
import { closeSockets } from "./support.ts";

beforeEach(forgetTroubles);
afterEach(closeSockets);
