// The budgets of principals in this isolate: of the Worker, and of all objects that live in it.
import type { ReportAnswer } from "./calls/metrics-calls.ts";
import { PrincipalBudgets, type PrincipalSpent } from "./core/access/principal-budgets.ts";

export const budgets = new PrincipalBudgets();

/**
 * [BGT-3] Has a report tell what principals have cost, and learns from its answer whose budgets are used up. Returns the
 * answer, or null from an object of an earlier release.
 */
export async function reportSpent(
  report: (spent: readonly PrincipalSpent[]) => Promise<ReportAnswer | undefined>,
): Promise<ReportAnswer | null> {
  const spent = budgets.take();
  try {
    const answer = (await report(spent)) ?? null;
    if (answer !== null) budgets.learn(answer.principals, answer.untilMs);
    return answer;
  } catch (error) {
    budgets.giveBack(spent);
    throw error;
  }
}
