// The end of the lesson: a summary, links to go on, and a button to clean up.
import { DOCS_PATH } from "../../protocol/paths.ts";
import { paths } from "../router.ts";
import { ErrorNote } from "../ui/states.tsx";
import { act, doing, isCleanedUp, problem, restart } from "./lesson.ts";
import type { Lesson } from "./state.ts";

const SEEN = [
  ["Order", "Records with the same key are in the same partition, in order."],
  [
    "Sharing",
    "The members of a group share the partitions. No partition has two owners in one group.",
  ],
  ["Rebalancing", "Members come and go, and only the partitions that move stop for a moment."],
  [
    "Failure",
    "A silent member keeps its partitions until its session times out. Then others go on from the last commit.",
  ],
  ["Delivery", "At least once: nothing is lost, and uncommitted records are delivered again."],
  ["Groups", "Each group reads everything, with committed offsets of its own."],
  ["Lag", "How far a group is behind is the one number to watch."],
  ["Rewinding", "Reading deletes nothing, so a group can be set back."],
] as const;

export function Seen() {
  return (
    <section class="beside" aria-labelledby="seen">
      <h2 id="seen">In short</h2>
      <dl class="seen">
        {SEEN.map(([word, text]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

export function Summary({ lesson }: { lesson: Lesson }) {
  const { topic } = lesson;
  const billing = `${topic}-billing`;
  return (
    <>
      {topic !== null && !isCleanedUp.value && (
        <>
          <h2>Look at what you made</h2>
          <ul>
            <li>
              <a href={paths.group(billing, "history")}>Why the group billing rebalanced</a>, in
              sentences
            </li>
            <li>
              <a href={paths.group(billing)}>Who owns what in billing</a>, and{" "}
              <a href={paths.group(`${topic}-audit`, "offsets")}>the committed offsets of audit</a>
            </li>
            <li>
              <a href={paths.topic(topic)}>The records of the topic</a>
            </li>
          </ul>
          <p class="muted">These pages replace this one, so the members stop.</p>
        </>
      )}
      <h2>Read on</h2>
      <p>
        <a href={`${DOCS_PATH}/consumer-groups`}>Consumer groups</a> in the documentation explains
        these rules in full, and <a href={DOCS_PATH}>the documentation</a> has everything else.
      </p>
      {problem.value !== null && <ErrorNote error={problem.value} />}
      <div class="buttons">
        <button
          type="button"
          class={isCleanedUp.value ? "" : "primary"}
          aria-disabled={doing.value !== null || isCleanedUp.value}
          onClick={() => {
            if (!isCleanedUp.value) void act("clean up");
          }}
        >
          {doing.value === "clean up" ? "Cleaning up…" : "Clean up"}
        </button>
        <button type="button" aria-disabled={doing.value !== null} onClick={() => void restart()}>
          Start again
        </button>
      </div>
      <p class={isCleanedUp.value ? "note" : "muted"}>
        {isCleanedUp.value
          ? "The topic and both groups have been deleted. The broker is as it was before."
          : "Cleaning up stops the members and deletes the topic and both groups."}
      </p>
    </>
  );
}
