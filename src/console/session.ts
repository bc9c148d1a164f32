// Who uses the console. The credential is held in memory, or in this tab's sessionStorage if its user says so: never in
// localStorage or a cookie, which other tabs and later users would find.
import { signal } from "@preact/signals";
import { isAllowed } from "../core/access/grants.ts";
import type { Operation, ResourceType } from "../core/access/operations.ts";
import type { CallerInfo } from "../core/access-info.ts";
import { ME_PATH } from "../protocol/paths.ts";
import { credential, get, ProblemError, refusal } from "./api.ts";

/** Who the broker says that calls. Null before anybody has signed in. */
export const me = signal<CallerInfo | null>(null);
/** Why it is not known who calls, where that is no refusal: the broker cannot be reached, say. */
export const failure = signal<unknown>(null);
/** True once the broker has said who calls, or that it does not know. */
export const isKnown = signal(false);

const KEPT = "rivulet.credential";

/** Signs in with what this tab has kept, or without a credential, as in an open broker. */
export async function resume(): Promise<void> {
  credential.value = kept();
  await recognize();
}

/** Signs in. `keep` keeps the credential in this tab until it is closed. @throws ProblemError, UnreachableError */
export async function signIn(text: string, keep: boolean): Promise<void> {
  const before = credential.value;
  credential.value = text;
  try {
    me.value = await get<CallerInfo>(ME_PATH);
    refusal.value = null;
    if (keep) keepCredential(text);
  } catch (error) {
    credential.value = before;
    throw error;
  }
}

/** Forgets the credential and whatever was shown by it. */
export function signOut(): void {
  credential.value = null;
  me.value = null;
  keepCredential(null);
  refusal.value = "You have signed out.";
}

/** Asks the broker who calls. */
export async function recognize(): Promise<void> {
  try {
    me.value = await get<CallerInfo>(ME_PATH);
    refusal.value = null;
    failure.value = null;
  } catch (error) {
    me.value = null;
    if (error instanceof ProblemError && error.status === 401) keepCredential(null);
    // A refusal shows the form to sign in.
    failure.value = error instanceof ProblemError && error.status === 401 ? null : error;
  }
  isKnown.value = true;
}

/** True if the grants allow it, so that it may be offered. The broker decides again. */
export function isOffered(operation: Operation, type: ResourceType, name = ""): boolean {
  return me.value !== null && isAllowed(me.value, operation, { type, name });
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null; // The browser keeps nothing for this page.
  }
}

function keepCredential(text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, text);
  } catch {
    // The browser keeps nothing for this page. Memory has it.
  }
}
