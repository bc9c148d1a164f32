// The form for users that the broker does not know.
import { useState } from "preact/hooks";
import { refusal } from "../api.ts";
import { failure, isKnown, recognize, signIn } from "../session.ts";
import { Checkbox, Field, Form } from "../ui/form.tsx";
import { Busy, ErrorNote } from "../ui/states.tsx";

/** The page for a user who has not signed in, or if the broker could not be asked. */
export function Outside() {
  if (failure.value !== null)
    return <ErrorNote error={failure.value} retry={() => void recognize()} />;
  return isKnown.value ? <SignInPage /> : <Busy what="the console" />;
}

function SignInPage() {
  const [text, setText] = useState("");
  const [isKept, setKept] = useState(false);
  return (
    <div class="sign-in">
      <h1>Sign in</h1>
      {refusal.value !== null && <p class="note data">{refusal.value}</p>}
      <Form action="Sign in" act={() => signIn(text.trim(), isKept)} isReady={text.trim() !== ""}>
        <Field
          label="API key or token"
          type="password"
          value={text}
          onInput={setText}
          isRequired
          hint={
            <>
              It is sent only to this broker. A token of a few minutes is enough:{" "}
              <code>rivulet tokens create</code>
            </>
          }
        />
        <Checkbox
          label="Keep it in this tab until the tab is closed"
          isChecked={isKept}
          onChange={setKept}
        />
      </Form>
    </div>
  );
}
