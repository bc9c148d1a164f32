// `npm run learn`: starts a broker as `npm start` does, with the same settings, and prints where its lesson is. If a broker
// with the lesson answers at the port already, it only prints that.
import { showLesson } from "./lesson.ts";
import { runOrExplain } from "./settings.ts";
import { start } from "./start.ts";

await runOrExplain(() => showLesson(start));
