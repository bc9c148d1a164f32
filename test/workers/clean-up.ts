// Files share a runtime, so no test leaves anything behind. Some tests count the connections of the runtime, /health counts
// the objects whose storage a test made fail, and lists grow with the topics of every file.
import { afterAll, afterEach, beforeEach } from "vitest";
import { forgetTroubles } from "../../src/storage-health.ts";
import { closeSockets, startAnew } from "./support.ts";

beforeEach(forgetTroubles);
afterEach(closeSockets);
afterAll(startAnew);
