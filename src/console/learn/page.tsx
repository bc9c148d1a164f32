// The page of the lesson: the steps, one at a time, beside the picture.
import { useEffect, useRef, useState } from "preact/hooks";
import { announcement } from "../announce.ts";
import { credential, refusal } from "../api.ts";
import { Outside } from "../pages/sign-in.tsx";
import { paths } from "../router.ts";
import { isOffered, me } from "../session.ts";
import { ThemeChoice } from "../ui/theme-choice.tsx";
import { Who } from "../ui/who.tsx";
import { Drawing } from "./drawing.tsx";
import { abandon, doing, goTo, lesson, mayGoOn, met, restart, stepIndex } from "./lesson.ts";
import { KEY_COMMAND, missingRights, PREFIX } from "./rights.ts";
import type { Lesson } from "./state.ts";
import { StepCode, StepText } from "./step-view.tsx";
import { STEPS } from "./steps.ts";
import { Seen, Summary } from "./summary.tsx";

const CONSOLE_LINKS = [
  ["Overview", paths.overview],
  ["Topics", paths.topics()],
  ["Groups", paths.groups()],
] as const;

/** The title of what follows the last step. */
const SUMMARY = "What you have seen";

export function LearnPage() {
  const isSignedIn = me.value !== null && refusal.value === null;
  useEffect(() => {
    if (!isSignedIn) void abandon();
  }, [isSignedIn]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a class="brand" href={paths.overview}>
          Rivulet
        </a>
        <nav aria-label="Console">
          <ul>
            {CONSOLE_LINKS.map(([title, href]) => (
              <li key={href}>
                <a href={href}>{title}</a>
              </li>
            ))}
            <li>
              <a href={paths.learn} aria-current="page">
                Learn
              </a>
            </li>
            <li>
              <a href={paths.docs}>Docs</a>
            </li>
          </ul>
        </nav>
        <div class="row who">
          <Who />
          <ThemeChoice />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {isSignedIn ? <Inside /> : <Outside />}
      </main>
      <div class="unseen" aria-live="polite">
        {announcement.value}
      </div>
    </>
  );
}

function Inside() {
  if (!isSecureContext) return <NotSecure />;
  const missing = missingRights(isOffered);
  return missing === null ? <Steps /> : <NoRights missing={missing} />;
}

/** Browsers create random ids only for pages from HTTPS or from this machine, and the SDK needs them. */
function NotSecure() {
  return (
    <>
      <h1>Learn consumer groups</h1>
      <p class="note danger" role="alert">
        The browser lets consumers run only in a page that came over HTTPS or from this machine.
        Open the lesson at such an address.
      </p>
    </>
  );
}

function NoRights({ missing }: { missing: string }) {
  return (
    <>
      <h1>Learn consumer groups</h1>
      <div class="note danger" role="alert">
        <p>
          <strong>This key may not {missing}.</strong>
        </p>
        <p>
          The lesson makes a topic and two groups whose names begin with <code>{PREFIX}</code>, and
          deletes them at its end. Sign in with a key that may do that. Somebody who may create keys
          can create one like this:
        </p>
        <p>
          <code>{KEY_COMMAND}</code>
        </p>
      </div>
    </>
  );
}

function Steps() {
  const index = stepIndex.value;
  const step = STEPS[index];
  const now = lesson.value;
  const [frozen, setFrozen] = useState<Lesson | null>(null);
  const shown = frozen ?? now;
  const heading = useRef<HTMLHeadingElement>(null);
  const isFirst = useRef(true);
  const title = step?.title ?? SUMMARY;
  useEffect(() => {
    document.title = `${title} – Learn – Rivulet`;
    if (isFirst.current) isFirst.current = false;
    else heading.current?.focus();
  }, [title]);
  return (
    <>
      <StepList index={index} />
      <div class="lesson">
        <div class="told">
          <p class="crumbs muted">
            {step === undefined
              ? "Consumer groups"
              : `Consumer groups: step ${index + 1} of ${STEPS.length}`}
          </p>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {index === 0 && (
            <p class="muted">
              Ten minutes with a real topic and real consumers: they run in this page and use this
              broker as they would from anywhere.
            </p>
          )}
          {step === undefined ? (
            <Summary lesson={now} />
          ) : (
            <StepText
              step={step}
              index={index}
              shown={shown}
              now={now}
              onAct={() => setFrozen(null)}
            />
          )}
          <Turns index={index} />
        </div>
        <div class="pictured">
          <Drawing
            shown={shown}
            isPaused={frozen !== null}
            setPaused={(isPaused) => setFrozen(isPaused ? now : null)}
          />
        </div>
        {step === undefined ? (
          <Seen />
        ) : (
          <StepCode
            step={step}
            names={{
              url: location.origin,
              topic: now.topic ?? `${PREFIX}1`,
              isClosed: credential.value !== null,
            }}
          />
        )}
      </div>
    </>
  );
}

/** The buttons to go back, on, and to the start. Steps that have not been done cannot be skipped. */
function Turns({ index }: { index: number }) {
  const isOver = index === STEPS.length;
  return (
    <div class="buttons turns">
      {index > 0 && (
        <button type="button" onClick={() => goTo(index - 1)}>
          Back
        </button>
      )}
      {!isOver && (
        <button
          type="button"
          class={mayGoOn(index) ? "primary" : ""}
          disabled={!mayGoOn(index)}
          onClick={() => goTo(index + 1)}
        >
          {index === STEPS.length - 1 ? SUMMARY : "Next step"}
        </button>
      )}
      {!isOver && lesson.value.topic !== null && (
        <button
          type="button"
          class="again"
          aria-disabled={doing.value !== null}
          onClick={() => void restart()}
        >
          {doing.value === "clean up" ? "Cleaning up…" : "Start again"}
        </button>
      )}
    </div>
  );
}

/** The buttons of the steps by their numbers, and the one of the summary. */
function StepList({ index }: { index: number }) {
  return (
    <nav class="step-list" aria-label="Steps">
      <ol>
        {STEPS.map(({ title }, i) => (
          <li key={title}>
            <button
              type="button"
              aria-label={`${i + 1}. ${title}${met.value.isDone(i) ? ", done" : ""}`}
              aria-current={i === index ? "step" : undefined}
              title={title}
              disabled={i > 0 && !met.value.isDone(i - 1)}
              onClick={() => goTo(i)}
            >
              {met.value.isDone(i) ? `${i + 1} ✓` : i + 1}
            </button>
          </li>
        ))}
        <li>
          <button
            type="button"
            aria-label={`Summary: ${SUMMARY}`}
            aria-current={index === STEPS.length ? "step" : undefined}
            title={SUMMARY}
            disabled={!mayGoOn(STEPS.length - 1)}
            onClick={() => goTo(STEPS.length)}
          >
            Summary
          </button>
        </li>
      </ol>
    </nav>
  );
}
