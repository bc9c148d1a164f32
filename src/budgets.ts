// The budgets of principals in this isolate, for the Worker and all of its objects.
import type { ReportAnswer } from "./calls/metrics-calls.ts";
import { PrincipalBudgets, type SpentBatch } from "./core/access/principal-budgets.ts";

export const budgets = new PrincipalBudgets(() => crypto.randomUUID());

/**
 * [BGT-3] Reports the costs of principals, and learns their total costs from the answer. Returns the answer, or null
 * from an object of an earlier release.
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
