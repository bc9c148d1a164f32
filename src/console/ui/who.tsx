// The user who has signed in, and the button to sign out.
import { me, signOut } from "../session.ts";

export function Who() {
  const caller = me.value;
  if (caller === null) return null;
  const isAnonymous = caller.principal === "User:ANONYMOUS";
  return (
    <>
      <span class="data principal" title={caller.principal}>
        {isAnonymous ? "open broker" : caller.principal}
        {caller.namespace === undefined ? "" : ` in ${caller.namespace}`}
      </span>
      {!isAnonymous && (
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      )}
    </>
  );
}
