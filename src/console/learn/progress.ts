// The goals of the lesson that have been met. A goal is checked while its step is shown, and stays met.
import type { Lesson } from "./state.ts";
import { STEPS } from "./steps.ts";

export class Met {
  readonly #goals: ReadonlySet<string>;

  constructor(goals: ReadonlySet<string>) {
    this.#goals = goals;
  }

  has(step: number, goal: number): boolean {
    return this.#goals.has(`${step}/${goal}`);
  }

  isDone(step: number): boolean {
    return STEPS[step]?.goals.every((_, goal) => this.has(step, goal)) ?? false;
  }

  /** Returns this with more goals, or this itself if there are no more. */
  with(step: number, goals: readonly number[]): Met {
    const more = goals.filter((goal) => !this.has(step, goal));
    if (more.length === 0) return this;
    return new Met(new Set([...this.#goals, ...more.map((goal) => `${step}/${goal}`)]));
  }
}

export const NOTHING_MET = new Met(new Set());

/** Returns the goals met in this state of the lesson, while this step is shown. */
export function meet(met: Met, step: number, lesson: Lesson): Met {
  const goals = STEPS[step]?.goals ?? [];
  return met.with(
    step,
    goals.flatMap(({ isMet }, goal) => (isMet(lesson) ? [goal] : [])),
  );
}
