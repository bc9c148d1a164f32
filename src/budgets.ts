// The budgets of principals in this isolate: of the Worker, and of all objects that live in it.
import type { ReportAnswer } from "./calls/metrics-calls.ts";
import { PrincipalBudgets, type SpentBatch } from "./core/access/principal-budgets.ts";

export const budgets = new PrincipalBudgets(() => crypto.randomUUID());

/**
 * [BGT-3] Has a report tell what principals have cost, and learns from its answer what they have cost in all. Returns the
 * answer, or null from an object of an earlier release.
 */
export async function reportSpent(
  report: (spent: SpentBatch | null) => Promise<ReportAnswer | undefined>,
): Promise<ReportAnswer | null> {
  const batch = budgets.take();
  const answer = (await report(batch)) ?? null;
  if (batch !== null) budgets.arrived(batch);
  if (answer !== null) budgets.learn(answer.principals, answer.untilMs);
  return answer;
}
