// The user of the console. The credential is held in memory, or in this tab's sessionStorage if the user wants
// that. It is never in localStorage or a cookie, where other tabs and later users would find it.
import { signal } from "@preact/signals";
import { isAllowed } from "../core/access/grants.ts";
import type { Operation, ResourceType } from "../core/access/operations.ts";
import type { CallerInfo } from "../core/access-info.ts";
import { ME_PATH } from "../protocol/paths.ts";
import { credential, get, ProblemError, refusal } from "./api.ts";

/** The caller according to the broker. Null before signing in. */
export const me = signal<CallerInfo | null>(null);
/** The reason why the caller is not known, if it is not a refusal: the broker cannot be reached, for example. */
export const failure = signal<unknown>(null);
/** True once the broker has identified the caller, or has refused to. */
export const isKnown = signal(false);

const KEPT = "rivulet.credential";

/** Signs in with the credential that this tab has kept, or without one, as in an open broker. */
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

/** Forgets the credential and everything that was shown with it. */
export function signOut(): void {
  credential.value = null;
  me.value = null;
  keepCredential(null);
  refusal.value = "You have signed out.";
}

/** Asks the broker for the caller. */
export async function recognize(): Promise<void> {
  try {
    me.value = await get<CallerInfo>(ME_PATH);
    refusal.value = null;
    failure.value = null;
  } catch (error) {
    me.value = null;
    if (error instanceof ProblemError && error.status === 401) keepCredential(null);
    // After a refusal the form to sign in is shown.
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
    return null; // The browser stores nothing for this page.
  }
}

function keepCredential(text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, text);
  } catch {
    // The browser stores nothing for this page. Memory has it.
  }
}
