// A step of the lesson: its text, the reader's action, the goals that the broker then shows, and the code.
import { CopyButton } from "../ui/copy-button.tsx";
import { Scroll } from "../ui/scroll.tsx";
import { ErrorNote } from "../ui/states.tsx";
import { type CodeNames, codeOf } from "./code.ts";
import { act, doing, met, problem, trouble } from "./lesson.ts";
import type { Lesson } from "./state.ts";
import type { Step } from "./steps.ts";

export function StepText({
  step,
  index,
  shown,
  now,
  onAct,
}: {
  step: Step;
  index: number;
  /** The state of the lesson that the picture shows. */
  shown: Lesson;
  /** The current state of the lesson. */
  now: Lesson;
  onAct: () => void;
}) {
  const { text, actions, goals, finding } = step;
  const found = finding?.(shown) ?? null;
  const failure = problem.value ?? trouble.value;
  const failed = now.members.find(({ failure }) => failure !== null);
  return (
    <>
      {text.map((each) => (
        <p key={each}>{each}</p>
      ))}
      <div class="buttons">
        {actions.map(({ name, label, isOffered }) => {
          // The button stays in place when it has done its work, and keeps the keyboard focus.
          const isIdle = doing.value !== null || !isOffered(now);
          return (
            <button
              key={name}
              type="button"
              class={isOffered(now) ? "primary" : ""}
              aria-disabled={isIdle}
              onClick={() => {
                if (isIdle) return;
                onAct();
                void act(name);
              }}
            >
              {label(now)}
            </button>
          );
        })}
      </div>
      {failure !== null && <ErrorNote error={failure} />}
      {failed !== undefined && <ErrorNote error={`A consumer has failed: ${failed.failure}`} />}
      <ul class="goals" aria-label="What you will see">
        {goals.map(({ text: goal }, i) => {
          const isMet = met.value.has(index, i);
          return (
            <li key={goal} class={isMet ? "met" : ""}>
              <span class="check-mark" aria-hidden="true">
                {isMet ? "✓" : "○"}
              </span>
              <span>
                {goal}
                <span class="unseen">{isMet ? " (done)" : " (not yet)"}</span>
              </span>
            </li>
          );
        })}
      </ul>
      {found !== null && <p class="note">{found}</p>}
    </>
  );
}

export function StepCode({ step, names }: { step: Step; names: CodeNames }) {
  const code = codeOf(step.id, names);
  return (
    <section class="beside" aria-labelledby="code">
      <div class="row">
        <h2 id="code">In code</h2>
        <CopyButton label="Copy" text={() => code} />
      </div>
      <p class="muted">
        A whole program. Save it as <code>step.mjs</code> where the package <code>rivulet</code> is
        installed, and run it with Node: it works on this topic.
      </p>
      <Scroll label="The program" class="bytes">
        <pre>
          <code>{code}</code>
        </pre>
      </Scroll>
    </section>
  );
}
